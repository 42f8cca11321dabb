//! `cargo xtask serve`: real clients against `ossicle serve`.

use std::process::Command;

use anyhow::Context;

use crate::process::execute;

/// The clients, in the versions that were tried.
const CLIENTS: [(&str, &str); 2] = [("wyoming", "1.10.2"), ("openai", "3.54.0")];

/// Clients that anybody might use.
const SCRIPTS: [&str; 4] = ["wyoming_client.py", "openai_client.py", "mqtt.py", "sounds.py"];

/// Many requests in a row.
const SOAK: &str = "soak.py";

/// Builds the command line and has the clients talk to it, then sends so many requests in a row.
///
/// # Errors
/// Python, pip or curl cannot be had, or a client sees what it should not.
pub(crate) fn run(requests: usize) -> anyhow::Result<()> {
    let root = crate::root()?;
    let ossicle = crate::built::command_line()?;
    crate::apt::require("curl", &["curl"])?;
    if let Err(error) = crate::apt::require("mosquitto", &["mosquitto", "mosquitto-clients"]) {
        // The script says so too.
        println!("    no mosquitto: {error:#}");
    }
    let packages = root.join("target/python-serve");
    let complete = CLIENTS.iter().all(|(name, version)| packages.join(format!("{name}-{version}.dist-info/RECORD")).exists());
    if !complete {
        let requirements = CLIENTS.map(|(name, version)| format!("{name}=={version}"));
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--only-binary", ":all:", "--target"]).arg(&packages);
        execute(pip.args(&requirements)).with_context(|| format!("pip install {}", requirements.join(" ")))?;
    }
    let python = |script: &str| {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &packages).env("OSSICLE", &ossicle).env_remove("OSSICLE_ISA");
        python.arg(root.join("tests/serve").join(script));
        python
    };
    SCRIPTS.iter().try_for_each(|script| execute(&mut python(script)))?;
    execute(python(SOAK).arg(requests.to_string()))
}
