//! What people read: talk goes to stderr, results to stdout.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::hint;

/// Talks to people, unless they asked for quiet.
#[derive(Debug)]
pub struct Printer {
    quiet: bool,
}

impl Printer {
    pub const fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A sentence on what is going on.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            line(text);
        }
    }

    /// Something that may matter, also when quiet.
    pub fn warn(&self, text: &str) {
        line(&format!("warning: {text}"));
    }

    /// An error, its causes, and what may help.
    pub fn error(&self, error: &anyhow::Error) {
        line(&format!("error: {error:#}"));
        if let Some(hint) = hint::for_error(error) {
            line(&format!("hint: {hint}"));
        }
    }

    /// A bar for `total` things, drawn only on a terminal.
    pub fn bar(&self, total: u64, what: &'static str) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style("{msg:.dim} {bar:24.cyan/dim} {human_pos}/{human_len}"));
        bar.set_message(what);
        bar
    }
}

/// A bar's style; the templates are constants of this program.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━╌")
}

/// Writes a line to stderr. Nobody is left to tell when that fails.
pub fn line(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Writes a line of results to stdout.
pub fn result(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")
}

/// A duration as people say it: 42 s, 3 min 05 s, 2 h 07 min.
pub fn duration(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        assert_eq!([5.4, 185.0, 7620.0].map(duration), ["5 s", "3 min 05 s", "2 h 07 min"]);
    }
}
