//! The texts of a package: service, user, configuration, maintainer scripts.

use ossicle_boards::profile::Profile;

/// The systemd units: the folder that is watched, clients that are served, the microphone. The board's limits come from [`board_limits`].
/// Only the first is started unasked.
pub(super) const UNITS: [(&str, &str); 3] = [
    ("ossicle", include_str!("files/ossicle.service")),
    ("ossicle-serve", include_str!("files/ossicle-serve.service")),
    ("ossicle-listen", include_str!("files/ossicle-listen.service")),
];
/// The service's user and group.
pub(super) const SYSUSERS: &str = include_str!("files/sysusers.conf");
/// Settings of the service that an administrator changes.
pub(super) const CONFIGURATION: &str = include_str!("files/ossicle.conf");
/// Makes the user and starts the service.
pub(super) const POSTINST: &str = include_str!("files/postinst");
/// Stops the service.
pub(super) const PRERM: &str = include_str!("files/prerm");
/// Removes recordings and transcripts when the package is purged.
pub(super) const POSTRM: &str = include_str!("files/postrm");
/// Who owns what.
pub(super) const COPYRIGHT: &str = include_str!("files/copyright");

/// The drop-in for a board: the kernel's limit, and the same as the limit of the plan, so that a model that does not fit is refused with
/// figures and not killed.
pub(super) fn board_limits(profile: &Profile) -> String {
    let (name, budget) = (&profile.name, profile.memory.budget_mib);
    format!("# {name}\n[Service]\nMemoryMax={budget}M\nMemorySwapMax=0\nEnvironment=OSSICLE_MEMORY={budget}MiB\n")
}

#[cfg(test)]
mod tests {
    use super::{CONFIGURATION, POSTINST, PRERM, UNITS};

    /// Seconds of a setting of a unit.
    fn seconds(unit: &str, key: &str) -> u32 {
        unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap().parse().unwrap()
    }

    #[test]
    fn a_broker_at_home_can_be_reached_and_no_one_outside() {
        let serve = UNITS[1].1;
        let allowed = serve.lines().find_map(|line| line.strip_prefix("IPAddressAllow=")).unwrap();
        assert!(allowed.split(' ').any(|network| network == "192.168.0.0/16") && !allowed.contains("any"), "{allowed}");
        assert!(serve.lines().any(|line| line == "IPAddressDeny=any"));
        assert!(serve.contains("--uri tcp://127.0.0.1:10300 --http 127.0.0.1:8000"));
    }

    #[test]
    fn a_stop_may_wait_for_the_longest_window() {
        for (_, unit) in &UNITS[..2] {
            assert!(seconds(unit, "TimeoutStopSec") >= seconds(unit, "WatchdogSec"));
        }
    }

    /// What is enabled by hand must be stopped and restarted with the package, and its settings be explained.
    #[test]
    fn every_unit_is_known_to_the_scripts_and_its_settings_to_the_configuration() {
        for (name, unit) in UNITS {
            assert!([POSTINST, PRERM].iter().all(|script| script.contains(&format!(" {name}.service"))), "{name}");
            let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
            let letter = |c: char| !(c.is_ascii_uppercase() || c == '_');
            for variable in command.split(letter).filter(|word| word.starts_with("OSSICLE_")) {
                assert!(CONFIGURATION.contains(&format!("{variable}=")), "{name}: {variable}");
            }
        }
    }
}
