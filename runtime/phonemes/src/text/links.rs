//! Addresses of pages and of people.

use super::Reader;

impl Reader<'_> {
    /// Reads an address, part by part.
    pub(super) fn link(&mut self, core: &str) -> bool {
        let page = core.contains("://") || core.starts_with("www.") || is_domain(core.split('/').next().unwrap_or_default());
        let mail = core.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && is_domain(domain));
        if !page && !mail {
            return false;
        }
        let mut word = String::new();
        let (scheme, rest) = core.split_once("://").map_or(("", core), |(scheme, rest)| (scheme, rest));
        if !scheme.is_empty() {
            self.say(&scheme.to_uppercase());
            self.say("slash slash");
        }
        let rest = if let Some(rest) = rest.strip_prefix("www.") {
            self.say("WWW");
            if mail {
                self.say("dot")
            }
            rest
        } else {
            rest
        };
        let mut domain = true;
        for c in rest.chars().chain(['\n']) {
            if c.is_alphanumeric() {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                self.word(&std::mem::take(&mut word));
            }
            match c {
                '.' => self.say("dot"),
                '/' => {
                    self.say("slash");
                    domain = false;
                }
                '@' => self.say("at"),
                '-' => self.say(if domain { "dash" } else { "" }),
                _ => {}
            }
        }
        true
    }
}

/// `example.com`: names with points between them, and letters behind the last.
fn is_domain(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let [.., name, top] = &parts[..] else { return false };
    let known = ["com", "org", "net", "edu", "gov", "io", "co", "uk", "de", "fr", "eu", "us", "info", "dev", "ai", "app", "me", "tv"];
    name.chars().count() > 1 && known.contains(top) && parts.iter().all(|part| part.chars().all(|c| c.is_alphanumeric() || c == '-'))
}
