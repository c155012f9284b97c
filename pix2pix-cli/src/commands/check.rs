//! `p2p check`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use pix2pix_core::{
    pairs::{
        check::{ChannelValues, CheckReport, check, contact_sheet, describe_shift},
        layout::find_pairs,
    },
    pixel::encode::write_picture,
};

use super::pairs_config;
use crate::{
    args::CheckArgs,
    printer::{Printer, result},
};

/// Pairs on the contact sheet, at most.
const ON_SHEET: usize = 24;
/// Side of its cells, in pixels.
const CELL: usize = 160;

pub fn run(args: &CheckArgs, printer: &Printer) -> Result<ExitCode> {
    let config = pairs_config(&args.pairs);
    let set = find_pairs(&args.pairs.pairs, &config, 0)?;
    let bar = printer.bar(set.pairs.len() as u64, "reading pairs");
    let report = check(&set, &config, &|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    if args.json {
        result(&serde_json::to_string(&report)?)?;
    } else {
        result(&text(&report, &set.root.display().to_string()))?;
    }
    if !args.no_contact_sheet && report.bad.len() < set.pairs.len() {
        write_picture(&args.contact_sheet, &contact_sheet(&set, &config, ON_SHEET, CELL)?, &[])?;
        printer.say(&format!("contact sheet: {}", args.contact_sheet.display()));
    }
    Ok(if report.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &CheckReport, root: &str) -> String {
    let mut lines = vec![format!("{root}: laid out {}", report.layout)];
    let counts = report.counts.iter().map(|(split, count)| format!("{count} {split}")).collect::<Vec<_>>();
    lines.push(format!("pairs     {}", counts.join(", ")));
    lines.push(format!("kinds     {}", histogram(&report.modes)));
    lines.push(format!("source    {}{}", histogram(&report.source_sizes), values(&report.source_values)));
    lines.push(format!("target    {}{}", histogram(&report.target_sizes), values(&report.target_values)));
    lines.extend(report.notes.iter().map(|note| format!("note      {note}")));
    if let Some(shift) = report.shift {
        lines.push(format!("shift     over all pairs the target seems to lie {}", describe_shift(shift)));
    }
    if report.bad.is_empty() && report.suspicious.is_empty() && report.shift.is_none() {
        lines.push("nothing bad or suspicious".into());
    }
    if !report.bad.is_empty() {
        lines.push(match report.bad.len() {
            1 => "1 file cannot be used:".into(),
            many => format!("{many} files cannot be used:"),
        });
        lines.extend(report.bad.iter().map(|bad| format!("  {bad}")));
    }
    if !report.suspicious.is_empty() {
        lines.push(match report.suspicious.len() {
            1 => "1 thing to look at:".into(),
            many => format!("{many} things to look at:"),
        });
        lines.extend(
            report.suspicious.iter().map(|found| format!("  {}/{}: {}", found.split, found.name, found.reason)),
        );
    }
    lines.join("\n")
}

fn histogram(counts: &BTreeMap<String, usize>) -> String {
    let mut most = counts.iter().collect::<Vec<_>>();
    most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    match most.as_slice() {
        [(only, _)] => (*only).clone(),
        several => {
            let shown = several.iter().take(5).map(|(name, count)| format!("{name} ({count})"));
            let more = if several.len() > 5 { format!(", {} more", several.len() - 5) } else { String::new() };
            shown.collect::<Vec<_>>().join(", ") + &more
        }
    }
}

fn values(channels: &[ChannelValues]) -> String {
    if channels.is_empty() {
        return String::new();
    }
    let shown = channels.iter().map(|values| format!("{:.3} ± {:.3}", values.mean, values.spread));
    format!("; mean ± spread by channel: {}", shown.collect::<Vec<_>>().join(", "))
}
