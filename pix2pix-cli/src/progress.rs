//! Progress of long work, for people and for machines, and signals to stop it.

use std::{
    io::IsTerminal,
    ops::ControlFlow,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use serde_json::json;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag::{register, register_conditional_shutdown},
};

use crate::{
    args::ProgressArg,
    printer::{Printer, duration, line},
};

/// Exit code after Ctrl-C: 128 and the number of the signal, as shells have it.
const INTERRUPTED: u8 = 130;
/// The same for a request to end.
const TERMINATED: u8 = 143;
/// Between lines for machines, and for people without a terminal.
const BETWEEN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// Whether Ctrl-C was pressed or somebody asked the process to end.
pub struct Signals {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to listen. A second signal ends the process at once.
    pub fn listen() -> Result<Self> {
        let listen = |signal: i32, code: u8| {
            let flag = Arc::new(AtomicBool::new(false));
            register_conditional_shutdown(signal, code.into(), Arc::clone(&flag))
                .and_then(|_| register(signal, Arc::clone(&flag)))
                .map(|_| flag)
                .context("cannot listen for signals")
        };
        Ok(Self { interrupted: listen(SIGINT, INTERRUPTED)?, terminated: listen(SIGTERM, TERMINATED)? })
    }

    /// Whether to go on.
    pub fn go_on(&self) -> ControlFlow<()> {
        if self.interrupted.load(Ordering::Relaxed) || self.terminated.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// What to exit with after a stop.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.terminated.load(Ordering::Relaxed) { TERMINATED } else { INTERRUPTED })
    }
}

/// Tells how far work is, how fast, and how long it will take.
pub struct TileProgress {
    how: How,
    what: &'static str,
    unit: &'static str,
    began: Instant,
    told: Option<Instant>,
    /// Done before this began.
    skipped: f64,
}

enum How {
    Nothing,
    Bar(ProgressBar),
    /// Lines for people.
    Lines,
    Json,
}

impl TileProgress {
    pub fn new(how: ProgressArg, printer: &Printer, what: &'static str, unit: &'static str) -> Self {
        let how = match how {
            ProgressArg::Json => How::Json,
            ProgressArg::Bar if printer.is_quiet() => How::Nothing,
            ProgressArg::Bar if std::io::stderr().is_terminal() => How::Bar(printer.bar(0, what)),
            ProgressArg::Bar => How::Lines,
        };
        Self { how, what, unit, began: Instant::now(), told: None, skipped: 0.0 }
    }

    /// So much was done before.
    pub fn skip(&mut self, done: f64) {
        self.skipped = done;
    }

    pub fn tell(&mut self, done: f64, total: f64) {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = (done - self.skipped) / seconds.max(1e-9);
        let left = (total - done) / rate.max(1e-9);
        let (whole, all) = (done.floor() as u64, total.ceil() as u64);
        if let How::Bar(bar) = &self.how {
            bar.set_length(all);
            bar.set_position(whole);
            if seconds > 2.0 {
                bar.set_message(format!("{} {rate:.1} {}/s, {} left", self.what, self.unit, duration(left)));
            }
            return;
        }
        let wait = if matches!(self.how, How::Json) { BETWEEN[0] } else { BETWEEN[1] };
        if self.told.unwrap_or(self.began).elapsed() < wait && done < total {
            return;
        }
        self.told = Some(Instant::now());
        match self.how {
            How::Json => {
                let told = json!({
                    "event": self.what, "unit": self.unit, "done": whole, "total": all,
                    "seconds": (seconds * 10.0).round() / 10.0, "per_second": (rate * 100.0).round() / 100.0,
                    "seconds_left": left.round(),
                });
                line(&told.to_string());
            }
            How::Lines if seconds > 5.0 => {
                let left = duration(left);
                line(&format!("{}: {whole} of {all} {}, {rate:.1}/s, {left} left", self.what, self.unit));
            }
            _ => {}
        }
    }

    pub fn end(&mut self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}
