//! The binary as a user runs it.

mod place;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use place::{Place, TRAIN, text};

fn noise(width: u32, height: u32) -> RgbImage {
    ImageBuffer::from_fn(width, height, |x, y| Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x * y) % 256) as u8]))
}

/// The tensors of a checkpoint, without what its header says.
fn tensors(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("a checkpoint");
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    bytes[8 + header..].to_vec()
}

#[test]
fn a_run_leaves_everything_that_was_promised() {
    let place = Place::with_run(8);
    for file in [
        "config.toml",
        "log.jsonl",
        "checkpoints/latest.safetensors",
        "checkpoints/best.safetensors",
        "report/index.html",
    ] {
        assert!(place.path("runs/run").join(file).is_file(), "{file} is there");
    }
    assert!(place.path("runs/latest").join("config.toml").is_file(), "runs/latest points to the run");
    let log = fs::read_to_string(place.path("runs/run/log.jsonl")).expect("a log");
    assert_eq!(log.matches("\"kind\":\"step\"").count(), 8);
    assert!(log.contains("baseline_mean_picture") && log.contains("\"kind\":\"validation\""));
    let report = fs::read_to_string(place.path("runs/run/report/index.html")).expect("a report");
    assert!(report.contains("data:image/jpeg;base64,") && report.contains("<svg"));
    let again = place.bad(&format!("{TRAIN} --pairs town --steps 1 --name run"));
    assert!(again.contains("already holds a run") && again.contains("hint: go on with it"), "{again}");
}

#[test]
fn pictures_of_any_size_come_back_at_their_size_from_files_folders_and_pipes() {
    let place = Place::with_run(2);
    fs::create_dir_all(place.path("in/sub")).expect("made");
    noise(333, 517).save(place.path("in/odd.png")).expect("saved");
    noise(20, 7).save(place.path("in/sub/small.jpg")).expect("saved");
    place.good("translate in/odd.png -o out.png");
    assert_eq!(image::image_dimensions(place.path("out.png")).expect("a picture"), (333, 517));
    let bytes = fs::read(place.path("out.png")).expect("read");
    assert!(text(&bytes).contains("p2p:test-mode"), "the choice stands in the file");
    place.good("translate in -o tree --model run");
    assert_eq!(image::image_dimensions(place.path("tree/sub/small.png")).expect("a picture"), (20, 7));
    place.good("translate in/odd.png -o wide.png --side-by-side --resize 64 --target in/sub/small.jpg");
    assert_eq!(image::image_dimensions(place.path("wide.png")).expect("a picture"), (192, 64));
    let mut child =
        place.command("translate - -o -").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("a pipe").write_all(&fs::read(place.path("in/odd.png")).expect("read")).expect("written");
    let piped = child.wait_with_output().expect("ends").stdout;
    assert_eq!(
        image::load_from_memory(&piped).expect("a picture"),
        image::open(place.path("out.png")).expect("a picture")
    );
}

#[test]
fn test_modes_differ_and_each_is_deterministic() {
    let place = Place::new();
    place.good("synth --count 2 --size 64 --out town");
    // Dropout needs a depth of 6.
    place.good("train --pairs town --size 64 --width 4 --steps 4 --name run");
    noise(64, 64).save(place.path("in.png")).expect("saved");
    let translate = |mode: &str, seed: u32| {
        place.good(&format!("translate in.png -o out.png --test-mode {mode} --seed {seed}"));
        image::open(place.path("out.png")).expect("a picture")
    };
    assert_eq!(translate("image", 0), translate("image", 1));
    assert_ne!(translate("image", 0), translate("running", 0));
    assert_eq!(translate("paper", 5), translate("paper", 5));
    assert_ne!(translate("paper", 5), translate("paper", 6));
}

#[test]
fn bad_inputs_are_listed_and_do_not_stop_the_rest() {
    let place = Place::with_run(2);
    fs::create_dir_all(place.path("in")).expect("made");
    let good = place.path("in/good.png");
    noise(40, 40).save(&good).expect("saved");
    noise(40, 40).save(place.path("in/cut.jpg")).expect("saved");
    let bytes = fs::read(place.path("in/cut.jpg")).expect("read");
    fs::write(place.path("in/cut.jpg"), &bytes[..bytes.len() / 2]).expect("cut");
    fs::write(place.path("in/empty.png"), b"").expect("written");
    fs::write(place.path("in/text.png"), b"no picture").expect("written");
    let said = place.bad("translate in -o out");
    for name in ["cut.jpg", "empty.png", "text.png"] {
        assert!(said.contains(name), "{name} is named: {said}");
    }
    assert!(said.contains("3 of 4") && place.path("out/good.png").is_file());
    assert_eq!(fs::read_dir(place.path("out")).expect("a folder").count(), 1, "nothing half-written is left");
    let before = fs::read(&good).expect("read");
    assert!(place.bad("translate in/good.png -o in/good.png").contains("over itself"));
    assert_eq!(fs::read(&good).expect("read"), before);
    assert!(place.bad("translate nowhere.png -o out.png").contains("nowhere.png"));
    assert!(place.bad("translate in/good.png -o out.gif").contains("known endings"));
    assert!(place.bad("translate in/good.png -o out.png --model none").contains("no model none"));
}

/// Every kind of file that a data set may hold, and what becomes of it.
#[test]
fn a_table_of_awkward_training_files() {
    type Make = fn(&Path);
    let cases: [(&str, bool, Make); 10] = [
        ("16-bit.png", true, |path| {
            let picture = ImageBuffer::<Rgb<u16>, _>::from_fn(64, 32, |x, y| Rgb([x as u16 * 900, y as u16 * 1900, 7]));
            picture.save(path).expect("saved");
        }),
        ("16-bit.tiff", true, |path| {
            let picture = ImageBuffer::<Rgb<u16>, _>::from_fn(64, 32, |x, y| Rgb([x as u16 * 900, y as u16 * 1900, 7]));
            picture.save(path).expect("saved");
        }),
        ("gray.png", true, |path| GrayImage::from_fn(64, 32, |x, _| Luma([x as u8])).save(path).expect("saved")),
        ("lossless.webp", true, |path| noise(64, 32).save(path).expect("saved")),
        ("png named.jpg", true, |path| {
            noise(64, 32).save(path.with_extension("png")).expect("saved");
            fs::rename(path.with_extension("png"), path).expect("renamed");
        }),
        ("larger.bmp", true, |path| noise(900, 300).save(path).expect("saved")),
        ("odd.png", false, |path| noise(65, 32).save(path).expect("saved")),
        ("empty.png", false, |path| fs::write(path, b"").expect("written")),
        ("text.jpg", false, |path| fs::write(path, b"no picture").expect("written")),
        ("cut.png", false, |path| {
            noise(64, 32).save(path).expect("saved");
            let bytes = fs::read(path).expect("read");
            fs::write(path, &bytes[..bytes.len() / 2]).expect("cut");
        }),
    ];
    for (name, usable, make) in cases {
        let place = Place::new();
        place.good("synth --count 2 --size 32 --out town");
        make(&place.path("town/train").join(name));
        let words = format!("{TRAIN} --pairs town --steps 1 --val-fraction 0 --name run");
        if usable {
            place.good(&words);
        } else {
            let said = place.bad(&words);
            assert!(said.contains(name) && said.contains("hint: --skip-bad"), "{name}: {said}");
            let report = place.bad("check --pairs town --no-contact-sheet");
            assert!(report.is_empty(), "{name}: what is bad is a result, not an error: {report}");
            place.good(&format!("{words}2 --skip-bad"));
        }
    }
}

#[test]
fn the_other_direction_gray_sources_and_labels_train_too() {
    let place = Place::new();
    place.good("synth --count 2 --size 32 --out town");
    place.good(&format!("{TRAIN} --pairs town --steps 1 --direction BtoA --name back"));
    for (folder, channels) in [("A", 1), ("B", 3)] {
        fs::create_dir_all(place.path("gray").join(folder)).expect("made");
        let picture = image::DynamicImage::ImageRgb8(noise(40, 40));
        let picture = if channels == 1 { picture.to_luma8().into() } else { picture };
        picture.save(place.path("gray").join(folder).join("1.png")).expect("saved");
    }
    place.good(&format!("{TRAIN} --pairs gray --steps 1 --name gray"));
    place.good("translate gray/B/1.png -o from-gray.png --model gray");
    place.good("synth --scene street --count 2 --size 64x32 --out street");
    let words = "train --pairs street --size 64x32 --width 4 --num-layers 1 --steps 1 --instance-edges";
    assert!(place.bad(words).contains("--labels N"));
    assert!(place.bad(&format!("{words} --labels 20")).contains("with 20 labels ids go from 0 to 19"));
    place.good(&format!("{words} --labels 34 --name street"));
    place.good(
        "translate street/train_label/000001.png -o s.png --model street --instances street/train_inst/000001.png",
    );
    assert_eq!(image::image_dimensions(place.path("s.png")).expect("a picture"), (64, 32));
    assert!(place.bad("translate street/train_label/000001.png -o s.png --model street").contains("instance ids"));
    assert!(place.bad("translate street/train_img/000001.png -o s.png --model street").contains("label ids"));
    let found = place.good("evaluate --model street --pairs street --json");
    assert!(found.starts_with("{\"count\":2,\"l1\":"), "{found}");
}

#[cfg(unix)]
fn signal(child: &std::process::Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// Waits until a run has logged so many steps.
fn wait_for_steps(log: &Path, steps: usize) {
    for _ in 0..3000 {
        let done = fs::read_to_string(log).map_or(0, |log| log.matches("\"kind\":\"step\"").count());
        if done >= steps {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the run never came to step {steps}");
}

#[cfg(unix)]
#[test]
fn a_run_killed_at_any_moment_and_resumed_ends_bit_for_bit_as_if_it_had_not_been() {
    let place = Place::new();
    place.good("synth --count 12 --size 64 --out town");
    // Dropout, flips, crops, a pool, decay: everything that draws or counts.
    let words = "train --pairs town --size 64 --width 4 --num-layers 2 --steps 40 --save-every 3 --pool-size 3 --batch-size 2 --seed 1";
    place.good(&format!("{words} --name whole"));
    let whole = tensors(&place.path("runs/whole/checkpoints/latest.safetensors"));
    for (number, kill_after) in [1, 8, 22].into_iter().enumerate() {
        let name = format!("killed{number}");
        let mut child = place
            .command(&format!("-q {words} --name {name}"))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("runs");
        wait_for_steps(&place.path("runs").join(&name).join("log.jsonl"), kill_after);
        signal(&child, "-KILL");
        child.wait().expect("ends");
        place.good(&format!("train --resume {name}"));
        let resumed = tensors(&place.path("runs").join(&name).join("checkpoints/latest.safetensors"));
        assert!(resumed == whole, "killed after step {kill_after}");
        let log = fs::read_to_string(place.path("runs").join(&name).join("log.jsonl")).expect("a log");
        assert_eq!(log.matches("\"kind\":\"step\"").count(), 40, "every step is logged once");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_says_how_to_go_on_and_a_second_training_is_refused_meanwhile() {
    let place = Place::new();
    place.good("synth --count 12 --size 32 --out town");
    let words = format!("{TRAIN} --pairs town --steps 100000 --name run");
    let child = place.command(&words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
    wait_for_steps(&place.path("runs/run/log.jsonl"), 3);
    assert!(place.bad("train --resume run").contains("another training is using"));
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("ends");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("p2p train --resume runs/run"), "{said}");
    let log = fs::read_to_string(place.path("runs/run/log.jsonl")).expect("a log");
    let done = log.matches("\"kind\":\"step\"").count();
    place.good(&format!("train --resume run --steps {}", done + 2));
    let log = fs::read_to_string(place.path("runs/run/log.jsonl")).expect("a log");
    assert_eq!(log.matches("\"kind\":\"step\"").count(), done + 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_the_last_checkpoint_stays_whole() {
    let place = Place::new();
    place.good("synth --count 12 --size 32 --out town");
    let disk = place.path("disk");
    fs::create_dir_all(&disk).expect("made");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1400k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("a small disk cannot be mounted here: nothing was tested");
        return;
    }
    let output = place.run(&format!("{TRAIN} --pairs town --steps 400 --save-every 2 --runs disk/runs --name run"));
    let latest = place.path("disk/runs/run/checkpoints/latest.safetensors");
    let copy = fs::read(&latest);
    let leftovers = fs::read_dir(place.path("disk/runs/run/checkpoints"))
        .map(|entries| entries.flatten().any(|e| e.path().extension().is_some_and(|x| x == "tmp")));
    let unmounted = Command::new("umount").arg(&disk).status().expect("umount runs");
    assert!(unmounted.success());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device") && said.contains("hint: make room"), "{said}");
    fs::create_dir_all(place.path("runs/run/checkpoints")).expect("made");
    fs::write(place.path("runs/run/checkpoints/latest.safetensors"), copy.expect("a checkpoint")).expect("written");
    noise(32, 32).save(place.path("in.png")).expect("saved");
    place.good("translate in.png -o out.png --model run");
    assert!(!leftovers.unwrap_or(false), "no half-written checkpoint is left");
}

#[test]
fn unwritable_folders_damaged_checkpoints_and_wrong_options_are_errors_with_hints() {
    let place = Place::with_run(2);
    fs::write(place.path("file"), b"in the way").expect("written");
    assert!(place.bad(&format!("{TRAIN} --pairs town --steps 1 --runs file/runs")).contains("cannot write"));
    let latest = place.path("runs/run/checkpoints/latest.safetensors");
    let bytes = fs::read(&latest).expect("read");
    fs::write(&latest, &bytes[..bytes.len() - 9]).expect("cut");
    assert!(place.bad("train --resume run").contains("is not a whole checkpoint"));
    noise(32, 32).save(place.path("in.png")).expect("saved");
    assert!(place.bad("translate in.png -o out.png").contains("is not a whole checkpoint"));
    place.good("translate in.png -o out.png --checkpoint best");
    let size = place.bad("train --pairs town --size 100 --steps 1");
    assert!(size.contains("multiples of 32") && size.contains("hint: choose a --size"), "{size}");
    let key = place.bad(&format!("{TRAIN} --pairs town --steps 1 --set schedule.polcy=cosine"));
    assert!(key.contains("schedule.policy"), "{key}");
    let empty = place.bad("train --pairs runs/run/report --steps 1");
    assert!(empty.contains("looked for") && empty.contains("no pictures at all"), "{empty}");
    assert_eq!(place.run("train").status.code(), Some(2), "wrong usage has a code of its own");
    let loss = place.bad(&format!("{TRAIN} --pairs town --steps 60 --learning-rate 1e30 --name wild"));
    assert!(loss.contains("not a finite number") && loss.contains("hint:"), "{loss}");
}

#[test]
fn devices_are_listed_and_missing_ones_are_errors_without_a_panic() {
    let place = Place::new();
    let list = place.good("devices");
    assert!(list.lines().next().is_some_and(|line| line.starts_with("flex") && line.ends_with("ready")), "{list}");
    assert_eq!(list.lines().count(), 6);
    place.good("synth --count 2 --size 32 --out town");
    for device in ["cuda", "vulkan", "metal", "wgpu"] {
        let output = place.run(&format!("{TRAIN} --pairs town --steps 1 --device {device} --name {device}"));
        if !output.status.success() {
            assert!(text(&output.stderr).contains("hint:"), "{device}: {}", text(&output.stderr));
        }
    }
    assert_eq!(place.run("train --pairs town --device tpu").status.code(), Some(2));
}

#[test]
fn check_reports_as_text_and_json_and_writes_a_contact_sheet() {
    let place = Place::new();
    place.good("synth --count 12 --size 48 --out town");
    let said = place.good("check --pairs town");
    assert!(said.contains("laid out side-by-side") && said.contains("11 train, 1 val"), "{said}");
    assert!(image::image_dimensions(place.path("contact-sheet.png")).expect("a picture").0 > 320);
    let json = place.good("check --pairs town --json --no-contact-sheet");
    let json = serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
    assert_eq!((json["counts"]["train"].as_u64(), json["bad"].as_array().map(Vec::len)), (Some(11), Some(0)));
    assert_eq!(json["source_values"].as_array().map(Vec::len), Some(3));
}

#[test]
fn pictures_side_by_side_and_with_kept_weights_are_those_of_one_by_one() {
    let place = Place::with_run(2);
    fs::create_dir(place.path("many")).expect("a folder");
    for number in 0..40 {
        noise(32 + number % 3 * 32, 32).save(place.path(&format!("many/{number}.png"))).expect("a picture");
    }
    let translated = |options: &str| {
        place.good(&format!("translate many -o out --model runs/run {options}"));
        let pixels = |number| image::open(place.path(&format!("out/{number}.png"))).expect("a picture").to_rgb8();
        let all = (0..40).map(pixels).collect::<Vec<_>>();
        fs::remove_dir_all(place.path("out")).expect("the folder is there");
        all
    };
    let expected = translated("--jobs 1 --weight-cache 0");
    assert_eq!(expected, translated("--jobs 1 --weight-cache 64"));
    assert_eq!(expected, translated("--jobs 3 --weight-cache 64"));
    assert_eq!(expected, translated(""));
    let rounded = translated("--precision bf16");
    let largest = expected.iter().zip(&rounded).flat_map(|(one, other)| one.as_raw().iter().zip(other.as_raw()));
    let largest = largest.map(|(one, other)| one.abs_diff(*other)).max();
    assert!(largest.is_some_and(|largest| largest < 16), "bfloat16 moves pixels a little, found {largest:?}");
}

#[test]
fn large_pictures_go_in_windows_and_keep_their_place() {
    let place = Place::with_run(2);
    noise(333, 517).save(place.path("in.png")).expect("saved");
    fs::write(place.path("in.pgw"), "0.5 0 0 -0.5 1000.25 1999.75").expect("saved");
    let pixels = |name: &str| image::open(place.path(name)).expect("a picture").to_rgb8();
    place.good("translate in.png -o whole.png");
    let said = place.run("translate in.png -o exact.png --max-window 128 --seams exact --report-seams");
    assert!(text(&said.stderr).contains("in.png: seam ratio "), "{}", text(&said.stderr));
    let (whole, exact) = (pixels("whole.png"), pixels("exact.png"));
    assert!(whole.as_raw().iter().zip(exact.as_raw()).all(|(one, other)| one.abs_diff(*other) <= 1));
    // Through a GeoTIFF and back: the corner of the first pixel is half a pixel from its centre.
    place.good("translate in.png -o out.tif --max-window 128 --src-crs EPSG:32633");
    assert_eq!(pixels("out.tif").dimensions(), (333, 517));
    place.good("translate out.tif -o back.png");
    let numbers = |name: &str| {
        let text = fs::read_to_string(place.path(name)).expect("a world file");
        text.split_whitespace().map(|word| word.parse::<f64>().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(numbers("back.pgw"), [0.5, 0.0, 0.0, -0.5, 1000.25, 1999.75]);
    assert_eq!(numbers("whole.pgw"), numbers("back.pgw"));
    for (words, expected) in [
        ("translate out.tif -o x.tif --bands 1,2", "has 3 bands without alpha, the model takes 3, asked for 1,2"),
        ("translate out.tif -o x.tif --src-crs EPSG:3857", "says EPSG:32633, asked for is EPSG:3857"),
        ("translate in.png -o x.png --max-window 20", "needs windows of at least"),
        ("translate in.png -o x.png --max-window 128 --test-mode paper", "hint: "),
    ] {
        let said = place.bad(words);
        assert!(said.contains(expected), "{words}: {said}");
        assert!(!place.path("x.tif").exists() && !place.path("x.png").exists(), "{words} leaves nothing");
    }
}

#[test]
fn bench_measures_forward_step_phases_loader_and_memory() {
    let place = Place::new();
    let common = "bench --size 32 --width 4 --batch 2 --count 1";
    let found: serde_json::Value =
        serde_json::from_str(&place.good(&format!("{common} --precision bf16 --threads 1 --json"))).expect("an object");
    for key in [
        "forward_s",
        "step_s",
        "pairs_per_s",
        "loader_s",
        "loader_pairs_per_s",
        "generator_forward_s",
        "discriminator_s",
        "discriminator_adam_s",
        "generator_backward_s",
        "generator_adam_s",
    ] {
        assert!(found[key].as_f64().is_some_and(|value| value > 0.0), "{key} in {found}");
    }
    assert_eq!(found["precision"], "bf16");
    assert_eq!(found["batch"], 2);
    assert_eq!(found["threads"], 1);
    let text = place.good(common);
    assert!(text.contains("forward") && text.contains("loader") && text.contains("step"), "{text}");
    assert!(place.bad("bench --size 33 --count 1").contains("multiples of 32"));
    let agreement = place.good("bench check --device flex --size 32 --width 4");
    assert_eq!(agreement.matches(": good").count(), 5, "{agreement}");
    assert!(place.bad("bench check --device flex --size 33").contains("multiples of 32"));
}

#[test]
fn the_demo_does_the_whole_job() {
    let place = Place::new();
    let report = place.good("demo --steps 3 --size 32 --out runs/demo");
    let page = fs::read_to_string(place.path(report.trim())).expect("a report");
    assert!(page.contains("Translated, never seen in training"));
    assert_eq!(fs::read_dir(place.path("runs/demo/translated")).expect("a folder").count(), 6);
    assert!(place.good("datasets maps").contains("datasets/download.sh maps"));
}

/// Real pairs, where they are at hand: `P2P_DATA` or ../shared/data.
#[test]
#[ignore = "needs real pairs in P2P_DATA"]
fn real_pairs_are_read_without_complaint() {
    let data = std::env::var_os("P2P_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    assert!(data.is_dir(), "there are no real pairs in {}", data.display());
    let place = Place::new();
    let check = |folder: &str, more: &str| {
        let words = format!("check --json --no-contact-sheet {more} --pairs");
        let output = place.command(&words).arg(data.join(folder)).output().expect("runs");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let maps = check("maps", "");
    assert_eq!((maps["layout"].as_str(), maps["bad"].as_array().map(Vec::len)), (Some("side-by-side"), Some(0)));
    let suspicious = maps["suspicious"].as_array().map_or(0, Vec::len);
    assert!(suspicious <= 28, "{suspicious} of 280 good pairs are suspected");
    let cityscapes = check("cityscapes_hd", "--labels 35 --instance-edges");
    assert_eq!(
        (cityscapes["layout"].as_str(), cityscapes["bad"].as_array().map(Vec::len)),
        (Some("pix2pix-hd"), Some(0))
    );
}
