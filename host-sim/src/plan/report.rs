//! A plan as text and JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Plan, Time};

fn phases(plan: &Plan) -> [(&'static str, Time); 4] {
    [("mel", plan.mel), ("encoder", plan.encoder), ("prefill", plan.prefill), ("token", plan.token)]
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// Lines for people; every time has its range.
pub fn table(plan: &Plan, board: &str, model: &str) -> String {
    let Plan { shape, costs, memory, .. } = plan;
    let (low, high) = (1.0 - costs.error, 1.0 + costs.error);
    let mut out = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "{key:<12}{value}");
    };
    line("board", board.to_owned());
    line("model", model.to_owned());
    let window = shape.frames as f64 / 100.0;
    line("recording", format!("{} s in a window of {window} s, {} tokens after {}", shape.seconds, shape.tokens, shape.prompt));
    line("kernels", format!("{}, {} threads", costs.isa, plan.threads));
    let verdict = if plan.fits() { "fits" } else { "DOES NOT FIT" };
    line("memory", format!("{} of {}: {verdict}", megabytes(memory.total() as f64), megabytes(plan.budget as f64)));
    let parts: Vec<_> =
        memory.parts().into_iter().filter(|part| part.1 > 0).map(|(name, bytes)| format!("{name} {}", megabytes(bytes as f64))).collect();
    line("", parts.join(", "));
    for (name, time) in phases(plan) {
        let bound = if time.bandwidth { ", by memory's bandwidth" } else { "" };
        line(name, format!("{:.1} ms ({:.1} to {:.1}){bound}", time.ms, time.ms * low, time.ms * high));
    }
    let (whole, factor) = (plan.whole_ms(), plan.real_time_factor());
    line("whole", format!("{whole:.0} ms ({:.0} to {:.0})", whole * low, whole * high));
    line("real time", format!("{factor:.3} ({:.3} to {:.3}) seconds a second", factor * low, factor * high));
    line("basis", format!("{}; stated error {:.0} %", costs.basis, costs.error * 100.0));
    out
}

/// One object, schema ossicle.plan/1; times in milliseconds.
pub fn json(plan: &Plan, board: &str, model: &str) -> Value {
    let Plan { shape, costs, memory, .. } = plan;
    let round = |value: f64| (value * 1e3).round() / 1e3;
    let times: Value = phases(plan).into_iter().map(|(name, time)| (name.to_owned(), json!(round(time.ms)))).collect();
    let instructions: Value =
        phases(plan).into_iter().map(|(name, time)| (name.to_owned(), json!(time.instructions.map(f64::round)))).collect();
    let parts: Value = memory.parts().into_iter().map(|(name, bytes)| (name.to_owned(), json!(bytes))).collect();
    json!({
        "schema": "ossicle.plan/1",
        "board": board,
        "model": model,
        "seconds": shape.seconds,
        "window_seconds": shape.frames as f64 / 100.0,
        "prompt": shape.prompt,
        "tokens": shape.tokens,
        "isa": costs.isa,
        "threads": plan.threads,
        "memory": {"parts": parts, "total": memory.total(), "budget": plan.budget, "fits": plan.fits()},
        "ms": times,
        "instructions": instructions,
        "whole_ms": round(plan.whole_ms()),
        "real_time_factor": round(plan.real_time_factor()),
        "error": costs.error,
        "basis": costs.basis,
    })
}
