//! `--mqtt` of commands that hear sounds.

#[cfg(feature = "serve")]
pub(crate) use with::{BrokerArgs, Link, parse_name};
#[cfg(not(feature = "serve"))]
pub(crate) use without::{BrokerArgs, Link};

#[cfg(feature = "serve")]
mod with {
    use ossicle::events::Heard;
    use ossicle_serve::mqtt::{Broker, Sounds, is_name};

    use crate::fault;

    /// Whom to tell.
    #[derive(clap::Args)]
    #[command(next_help_heading = "MQTT")]
    pub(crate) struct BrokerArgs {
        /// Tell an MQTT broker of sound events, so that Home Assistant discovers them: mqtt://[USER:PASSWORD@]HOST[:PORT]
        #[arg(long, value_name = "URL", env = "OSSICLE_SOUNDS_MQTT", hide_env_values = true)]
        mqtt: Option<Broker>,
        /// What the broker knows this program by, each by a name of its own: small letters, digits, _ and -
        #[arg(long, value_name = "NAME", default_value = "sounds", value_parser = parse_name)]
        mqtt_name: String,
    }

    /// As `--mqtt-name`.
    pub(crate) fn parse_name(text: &str) -> Result<String, String> {
        if is_name(text) { Ok(text.into()) } else { Err("give up to 64 small letters, digits, _ and -".into()) }
    }

    impl BrokerArgs {
        /// Whether a broker is to be told.
        pub(crate) fn is_given(&self) -> bool {
            self.mqtt.is_some()
        }

        /// Connects to the broker, if there is one to be told; `model` is the detector's name.
        pub(crate) fn connect(&self, model: &str) -> Option<Link> {
            let report = |news: &str| fault::tell(format_args!("mqtt: {news}"));
            Some(Link(Sounds::connect(self.mqtt.as_ref()?, &self.mqtt_name, model, report)))
        }
    }

    /// A broker that is told.
    pub(crate) struct Link(Sounds);

    impl Link {
        /// Passes on what a detector tells of events.
        pub(crate) fn tell(&self, heard: &Heard<'_>) {
            self.0.tell(heard);
        }
    }
}

#[cfg(not(feature = "serve"))]
mod without {
    use ossicle::events::Heard;

    /// No option.
    #[derive(clap::Args)]
    pub(crate) struct BrokerArgs {}

    /// There is none.
    pub(crate) enum Link {}

    impl BrokerArgs {
        pub(crate) fn is_given(&self) -> bool {
            false
        }

        pub(crate) fn connect(&self, _: &str) -> Option<Link> {
            None
        }
    }

    impl Link {
        pub(crate) fn tell(&self, _: &Heard<'_>) {
            match *self {}
        }
    }
}
