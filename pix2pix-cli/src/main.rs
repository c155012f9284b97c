//! `p2p`: trains on aligned pairs of pictures and translates pictures. Layers: arguments, configuration, commands, printing.

mod args;
mod commands;
mod config;
mod hint;
mod model;
mod printer;

use std::process::ExitCode;

use clap::Parser;
use pix2pix_core::kernels::Simd;

use crate::{
    args::{Cli, Command, SimdArg},
    printer::Printer,
};

/// Training and loading free and take megabytes at every step, which the system's allocator hands back and clears anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator's option for how many milliseconds freed memory waits before it goes back to the system. It has this number in
/// both versions of mimalloc that there are.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Every step takes the memory again that the one before has freed: handing it back within a step means that the system clears it
/// each time. `MIMALLOC_PURGE_DELAY` says otherwise.
#[expect(unsafe_code, reason = "the allocator has no safe way to be told")]
fn keep_freed_memory() {
    // SAFETY: the function may not run beside others of its kind, and no other thread exists yet.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, 1000) };
}

fn limit(simd: SimdArg) {
    match simd {
        SimdArg::Portable => Simd::Portable,
        #[cfg(target_arch = "aarch64")]
        SimdArg::Neon => Simd::Wide,
        #[cfg(not(target_arch = "aarch64"))]
        SimdArg::Avx2 => Simd::Wide,
        #[cfg(not(target_arch = "aarch64"))]
        SimdArg::Avx512 => Simd::Widest,
    }
    .limit();
}

fn main() -> ExitCode {
    keep_freed_memory();
    let cli = Cli::parse();
    let printer = Printer::new(cli.quiet);
    if let Some(simd) = cli.simd {
        limit(simd);
    }
    let result = match cli.command {
        Command::Train(args) => commands::train::run(*args, &printer),
        Command::Translate(args) => commands::translate::run(&args, &printer),
        Command::Evaluate(args) => commands::evaluate::run(&args, &printer),
        Command::Check(args) => commands::check::run(&args, &printer),
        Command::Synth(args) => commands::synth::run(&args, &printer),
        Command::Demo(args) => commands::demo::run(&args, &printer),
        Command::Datasets(args) => commands::datasets::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Bench(args) => commands::bench::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            printer.error(&error);
            ExitCode::FAILURE
        }
    }
}
