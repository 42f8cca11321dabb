//! A plan as text and JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Plan;

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// Lines for people; every time has its range.
pub fn table(plan: &Plan, board: &str, model: &str) -> String {
    let Plan { job, costs, memory, .. } = plan;
    let (low, high) = (1.0 - costs.error, 1.0 + costs.error);
    let mut out = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "{key:<12}{value}");
    };
    line("board", board.to_owned());
    line("model", model.to_owned());
    line(job.what, job.about.clone());
    line("kernels", format!("{}, {} threads", costs.isa, plan.threads));
    let verdict = if plan.fits() { "fits" } else { "DOES NOT FIT" };
    line("memory", format!("{} of {}: {verdict}", megabytes(memory.total() as f64), megabytes(plan.budget as f64)));
    let parts: Vec<_> =
        memory.parts().iter().filter(|part| part.1 > 0).map(|&(name, bytes)| format!("{name} {}", megabytes(bytes as f64))).collect();
    line("", parts.join(", "));
    for (phase, time) in plan.phases() {
        let of = if phase.of.is_empty() { String::new() } else { format!(", {}", phase.of) };
        let bound = if time.bandwidth { ", by memory's bandwidth" } else { "" };
        line(phase.name, format!("{:.1} ms ({:.1} to {:.1}){of}{bound}", time.ms, time.ms * low, time.ms * high));
    }
    let whole = plan.whole_ms();
    let without = if job.without.is_empty() { String::new() } else { format!(", without {}", job.without) };
    let digits = usize::from(whole < 10.0);
    line("whole", format!("{whole:.digits$} ms ({:.digits$} to {:.digits$}){without}", whole * low, whole * high));
    if let Some(factor) = plan.real_time_factor() {
        line("real time", format!("{factor:.3} ({:.3} to {:.3}) seconds a second", factor * low, factor * high));
    }
    line("basis", format!("{}; stated error {:.0} %", costs.basis, costs.error * 100.0));
    out
}

/// One object, schema ossicle.plan/1; times in milliseconds.
pub fn json(plan: &Plan, board: &str, model: &str) -> Value {
    let Plan { job, costs, memory, .. } = plan;
    let round = |value: f64| (value * 1e3).round() / 1e3;
    let each = |value: &dyn Fn((&super::Phase, super::Time)) -> Value| -> Value {
        plan.phases().map(|(phase, time)| (phase.name.to_owned(), value((phase, time)))).collect()
    };
    let parts: Value = memory.parts().iter().map(|&(name, bytes)| (name.to_owned(), json!(bytes))).collect();
    let mut value = json!({
        "schema": "ossicle.plan/1",
        "board": board,
        "model": model,
        "kind": plan.kind,
        "isa": costs.isa,
        "threads": plan.threads,
        "memory": {"parts": parts, "total": memory.total(), "budget": plan.budget, "fits": plan.fits()},
        "ms": each(&|(_, time)| json!(round(time.ms))),
        "runs": each(&|(phase, _)| json!(phase.runs)),
        "multiplications": each(&|(phase, _)| json!(phase.work.multiplications())),
        "bytes": each(&|(phase, _)| json!(phase.work.bytes)),
        "instructions": each(&|(_, time)| json!(time.instructions.map(f64::round))),
        "whole_ms": round(plan.whole_ms()),
        "without": job.without,
        "error": costs.error,
        "basis": costs.basis,
    });
    for (name, figure) in &job.figures {
        value[*name] = figure.clone();
    }
    if let (Some(seconds), Some(factor)) = (job.seconds, plan.real_time_factor()) {
        value["seconds"] = seconds.into();
        value["real_time_factor"] = round(factor).into();
    }
    value
}
