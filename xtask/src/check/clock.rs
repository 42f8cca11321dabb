//! What each check costs: processor seconds, which another machine or a busy one repeats, and seconds of the clock.

use std::fmt::Write;
use std::time::Instant;

use anyhow::Context;

/// Ticks of `/proc/self/stat` in a second, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// The cost of one check, in seconds.
struct Cost {
    name: String,
    /// Unknown where there is no `/proc`.
    processor: Option<f64>,
    wall: f64,
}

/// Times checks and remembers what they cost.
#[derive(Default)]
pub(super) struct Clock(Vec<Cost>);

impl Clock {
    /// Runs a check under its name.
    ///
    /// # Errors
    /// As the check's.
    pub(super) fn timed(&mut self, name: &str, check: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        println!("==> {name}");
        let (start, before) = (Instant::now(), processor_seconds());
        let result = check().with_context(|| format!("{name} failed"));
        let processor = processor_seconds().zip(before).map(|(after, before)| after - before);
        let cost = Cost { name: name.to_owned(), processor, wall: start.elapsed().as_secs_f64() };
        println!("    {name}: {} of processor, {:.0} s", seconds(cost.processor), cost.wall);
        self.0.push(cost);
        result
    }

    /// All checks so far, the dearest first, and their sum.
    pub(super) fn table(&self) -> String {
        let mut rows: Vec<_> = self.0.iter().map(|cost| (cost.name.as_str(), cost.processor, cost.wall)).collect();
        rows.sort_by(|a, b| b.1.unwrap_or(b.2).total_cmp(&a.1.unwrap_or(a.2)));
        let sum = rows.iter().map(|row| row.1).sum::<Option<f64>>();
        rows.push(("in all", sum, self.0.iter().map(|cost| cost.wall).sum()));
        let mut text = format!("{:<34} {:>11} {:>8}\n", "check", "processor", "wall");
        for (name, processor, wall) in rows {
            let _ = writeln!(text, "{name:<34} {:>11} {:>8}", seconds(processor), seconds(Some(wall)));
        }
        text
    }
}

fn seconds(time: Option<f64>) -> String {
    time.map_or("?".to_owned(), |time| format!("{time:.0} s"))
}

/// Processor time of this process and of the children it has waited for, theirs included.
fn processor_seconds() -> Option<f64> {
    ticks(&std::fs::read_to_string("/proc/self/stat").ok()?).map(|ticks| ticks as f64 / TICKS)
}

/// utime, stime, cutime and cstime of proc_pid_stat(5). The second field is a name that may hold spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> = fields.split_whitespace().skip(11).take(4).map(|field| field.parse().ok()).collect::<Option<_>>()?;
    (times.len() == 4).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_times_are_found_after_a_name_with_brackets() {
        assert_eq!(ticks("7 (a) b) S 1 7 7 0 -1 4194560 9 8 7 6 100 20 3000 400 20 0 1 0"), Some(3520));
        assert_eq!(ticks("7 (a) S 1 7"), None);
    }

    #[test]
    fn a_child_counts_and_the_dearest_comes_first() {
        let mut clock = Clock::default();
        clock.timed("idle", || Ok(())).unwrap();
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        clock.timed("busy", || crate::process::execute(std::process::Command::new("sh").args(["-c", busy]))).unwrap();
        clock.timed("wrong", || anyhow::bail!("no")).unwrap_err();
        if cfg!(target_os = "linux") {
            assert!(clock.0[1].processor.unwrap() > clock.0[0].processor.unwrap());
        }
        let table = clock.table();
        let names: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!((names[0], names.len(), names[3]), ("busy", 4, "in"), "{table}");
    }
}
