//! `--mqtt` of commands that hear sounds or look.

#[cfg(feature = "serve")]
pub(crate) use ossicle_serve::mqtt::Sense;
#[cfg(feature = "serve")]
pub(crate) use with::{BrokerArgs, Link, parse_name};
#[cfg(not(feature = "serve"))]
pub(crate) use without::{BrokerArgs, Link, Sense};

#[cfg(feature = "serve")]
mod with {
    use ossicle::events::Heard;
    use ossicle_serve::mqtt::{Broker, Events, Sense, is_name};

    use crate::fault;

    /// Whom to tell.
    #[derive(clap::Args)]
    #[command(next_help_heading = "MQTT")]
    pub(crate) struct BrokerArgs {
        /// Tell an MQTT broker of events, so that Home Assistant discovers them: mqtt://[USER:PASSWORD@]HOST[:PORT]
        #[arg(long, value_name = "URL", env = "OSSICLE_EVENTS_MQTT", hide_env_values = true)]
        mqtt: Option<Broker>,
        /// What the broker knows this program by, each by a name of its own: small letters, digits, _ and - [default: sounds; of look: look]
        #[arg(long, value_name = "NAME", value_parser = parse_name)]
        mqtt_name: Option<String>,
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

        /// Connects to the broker, if there is one to be told; `model` is the model's name.
        pub(crate) fn connect(&self, sense: Sense, model: &str) -> Option<Link> {
            let report = |news: &str| fault::tell(format_args!("mqtt: {news}"));
            let usual = if sense == Sense::Sight { "look" } else { "sounds" };
            let name = self.mqtt_name.as_deref().unwrap_or(usual);
            Some(Link(Events::connect(self.mqtt.as_ref()?, sense, name, model, report)))
        }
    }

    /// A broker that is told.
    pub(crate) struct Link(Events);

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

    /// What events are of.
    #[derive(Clone, Copy)]
    pub(crate) enum Sense {
        Hearing,
        Sight,
    }

    /// There is none.
    pub(crate) enum Link {}

    impl BrokerArgs {
        pub(crate) fn is_given(&self) -> bool {
            false
        }

        pub(crate) fn connect(&self, _: Sense, _: &str) -> Option<Link> {
            None
        }
    }

    impl Link {
        pub(crate) fn tell(&self, _: &Heard<'_>) {
            match *self {}
        }
    }
}
