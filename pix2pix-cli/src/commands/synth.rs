//! `p2p synth`.

use std::process::ExitCode;

use anyhow::Result;
use pix2pix_core::pairs::synth::{Scene, SynthOptions, write_pairs};

use crate::{
    args::{SceneArg, SynthArgs},
    printer::{Printer, result},
};

pub fn run(args: &SynthArgs, printer: &Printer) -> Result<ExitCode> {
    let scene = match args.scene {
        SceneArg::Town => Scene::Town,
        SceneArg::Street => Scene::Street,
    };
    let size = (args.size.width, args.size.height);
    let options = SynthOptions { scene, count: args.count, size, seed: args.seed, out: args.out.clone() };
    let bar = printer.bar(args.count as u64, "generating");
    write_pairs(&options, &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    printer.say(&format!("{} pairs of {}x{} px", args.count, size.0, size.1));
    match scene {
        Scene::Town => printer.say("train on them: p2p train --pairs DIR --direction AtoB"),
        Scene::Street => printer.say("train on them: p2p train --pairs DIR --labels 34 --instance-edges"),
    }
    result(&args.out.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}
