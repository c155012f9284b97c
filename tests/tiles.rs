//! `p2p tiles`, `serve` and `digitize` as a user runs them.

mod place;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use image::{ImageBuffer, Rgb, RgbImage};
use place::{Place, text};

/// A run, and a picture of 700x500 pixels that lies somewhere in Europe, ten metres each.
fn scene() -> Place {
    let place = Place::with_run(2);
    let picture: RgbImage =
        ImageBuffer::from_fn(700, 500, |x, y| Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, (x * y % 256) as u8]));
    picture.save(place.path("field.png")).expect("saved");
    fs::write(place.path("field.pgw"), "10 0 0 -10 1370005 6261995").expect("saved");
    place
}

const TILES: &str = "tiles field.png --src-crs EPSG:3857 --block-size 256";

fn signal(child: &Child, name: &str) {
    let killed = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
}

/// Waits until blocks are done.
fn wait_for_blocks(place: &Place, work: &str, count: usize) {
    let begun = Instant::now();
    loop {
        let blocks = fs::read_dir(place.path(work).join("blocks")).map_or(0, |blocks| {
            blocks.flatten().filter(|entry| entry.path().extension().is_some_and(|ending| ending == "block")).count()
        });
        if blocks >= count {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{blocks} blocks of {count}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_picture_becomes_a_folder_of_tiles_with_a_page_or_an_archive() {
    let place = scene();
    let said = place.run(&format!("{TILES} -o map --source-tiles source --attribution nobody"));
    assert!(said.status.success() && text(&said.stderr).contains("tiles, zooms 12..14: map"), "{said:?}");
    assert!(!place.path("map.work").exists() && !place.path("source.work").exists());
    let page = fs::read_to_string(place.path("map/index.html")).expect("a page");
    assert!(page.contains("{z}/{x}/{y}.png") && page.contains("../source/{z}/{x}/{y}.png") && page.contains("nobody"));
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("map/tilejson.json")).expect("TileJSON")).expect("JSON");
    assert_eq!((&json["minzoom"], &json["maxzoom"]), (&12.into(), &14.into()));
    assert_eq!(json["tiles"][0], "{z}/{x}/{y}.png");
    // The same again is done already; another option is refused, with both fingerprints.
    let again = place.run(&format!("{TILES} -o map"));
    assert!(text(&again.stderr).contains("map is up to date"), "{again:?}");
    let refused = place.bad(&format!("{TILES} -o map --format webp"));
    assert!(refused.contains(json["fingerprint"].as_str().expect("text")) && refused.contains("hint: --fresh"));
    place.good(&format!("{TILES} -o map --format webp --fresh"));
    assert!(fs::read_to_string(place.path("map/tilejson.json")).expect("TileJSON").contains("webp"));
    // As an archive, with TileJSON beside it; from south in a folder; 512 pixels.
    place.good(&format!("{TILES} -o map.pmtiles --format jpeg"));
    assert!(place.path("map.tilejson.json").is_file());
    place.good("tiles field.png --src-crs EPSG:3857 -o south --tms --tile-size 512 --block-size 512");
    let south = fs::read_to_string(place.path("south/tilejson.json")).expect("TileJSON");
    assert!(south.contains("\"tms\"") && south.contains("\"tile_size\": 512"), "{south}");
    // Tiles become tiles.
    place.good("tiles map.pmtiles -o again.mbtiles --block-size 256 --zoom 12..14");
}

#[test]
fn whatever_stops_a_run_it_goes_on_and_ends_in_the_same_archive() {
    let place = scene();
    place.good(&format!("{TILES} -o whole.mbtiles --name town"));
    for (name, code) in [("TERM", Some(143)), ("INT", Some(130)), ("KILL", None)] {
        let words = format!("{TILES} -o {name}.mbtiles --name town --progress json");
        let mut child = place.command(&words).stderr(Stdio::piped()).spawn().expect("started");
        wait_for_blocks(&place, &format!("{name}.mbtiles.work"), 2);
        signal(&child, name);
        let ended = child.wait().expect("ended");
        assert_eq!(ended.code(), code, "{name}");
        assert!(!place.path(&format!("{name}.mbtiles")).exists());
        // Meanwhile nobody mixes anything in.
        let refused = place.bad(&format!("{TILES} -o {name}.mbtiles --quality 30"));
        assert!(refused.contains("has the fingerprint"), "{refused}");
        let said = place.run(&words);
        assert!(said.status.success() && text(&said.stderr).contains("going on with unfinished work"), "{said:?}");
        let [whole, resumed] =
            ["whole", name].map(|name| fs::read(place.path(&format!("{name}.mbtiles"))).expect("read"));
        assert!(whole == resumed, "{name}: the archives differ");
    }
}

#[test]
fn shards_and_a_merge_make_the_archive_of_one_process() {
    let place = scene();
    place.good(&format!("{TILES} -o single.pmtiles"));
    let plan = format!("{TILES} --work work").replace("tiles ", "tiles plan ");
    place.good(&plan);
    let incomplete = place.bad("tiles merge work -o merged.pmtiles");
    assert!(incomplete.contains("blocks are not done") && incomplete.contains("hint: run the shards"), "{incomplete}");
    for index in [2, 0, 1] {
        let ended = place
            .command("tiles run work --shard auto")
            .env("SLURM_ARRAY_TASK_ID", (index + 1).to_string())
            .envs([("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_COUNT", "3")])
            .output()
            .expect("ran");
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        assert!(place.path(&format!("work/shards/{index}-of-3.json")).is_file());
    }
    place.good("tiles merge work -o merged.pmtiles --name single");
    let read = |name: &str| fs::read(place.path(name)).expect("read");
    assert!(read("single.pmtiles") == read("merged.pmtiles"));
    // Exit codes for job arrays: usage, permanent, try again.
    let code = |words: &str| place.run(words).status.code();
    assert_eq!(code("tiles run work --shard 3/3"), Some(2));
    assert_eq!(code("tiles run nowhere --shard 0/3"), Some(42));
    fs::write(place.path("field.png"), "no picture any more").expect("written");
    fs::remove_file(place.path("work/blocks/00000000.block")).expect("removed");
    assert_eq!(code("tiles run work --shard 0/3"), Some(42));
    fs::remove_file(place.path("field.png")).expect("removed");
    assert_eq!(code("tiles run work --shard 0/3"), Some(75));
}

#[test]
fn inputs_that_are_of_no_use_are_clear_errors_and_leave_nothing() {
    let place = scene();
    fs::write(place.path("x.mbtiles"), "not SQLite, but long enough to be looked at".repeat(40)).expect("written");
    fs::write(place.path("cut.tif"), b"II*\0\x08\0\0\0\x03\0").expect("written");
    fs::create_dir(place.path("empty")).expect("made");
    for (words, expected) in [
        ("tiles field.png -o out", "does not say its coordinate system"),
        ("tiles field.png -o out --src-crs EPSG:12", "EPSG:12 cannot be used"),
        ("tiles x.mbtiles -o out", "x.mbtiles is not a whole MBTiles archive"),
        ("tiles cut.tif -o out", "cut.tif is not a whole picture"),
        ("tiles empty -o out", "there are no tiles in"),
        ("tiles missing.tif -o out", "cannot read"),
        ("tiles field.png -o out --src-crs EPSG:3857 --zoom 9..40", "are not within 0..22"),
        ("tiles field.png -o out --src-crs EPSG:3857 --block-size 100", "power of two"),
        ("tiles field.png -o out --src-crs EPSG:3857 --test-mode paper", "the paper's test mode"),
        ("serve empty", "there are no tiles in"),
        ("digitize field.png -o out.geojson", "does not say its coordinate system"),
        ("digitize field.png -o out.geojson --src-crs EPSG:3857 --classes none.toml", "cannot read the palette"),
    ] {
        let said = place.bad(words);
        assert!(said.contains(expected), "{words}: {said}");
        assert!(!place.path("out").exists() && !place.path("out.work").exists(), "{words} leaves nothing");
    }
    // A folder that somebody uses keeps what is not of the work.
    place.bad("tiles cut.tif -o out --work town");
    assert!(place.path("town/train").is_dir() && !place.path("town/blocks").exists());
}

#[test]
fn an_export_is_served_with_its_page_and_ends_on_request() {
    let place = scene();
    place.good(&format!("{TILES} -o town.mbtiles"));
    let mut server = place
        .command("serve town.mbtiles --compare town.mbtiles --port 0 --translate")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("an address");
    let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let ask = |head: &str, body: &[u8]| {
        let mut stream = TcpStream::connect(&address).expect("connected");
        let length = body.len();
        write!(stream, "{head} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
            .and_then(|()| stream.write_all(body))
            .expect("asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        answer
    };
    let page = text(&ask("GET /", b""));
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("map/{z}/{x}/{y}.png") && page.contains("\"translate\":{")
    );
    let described = text(&ask("GET /map.json", b""));
    let json: serde_json::Value =
        serde_json::from_str(described.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    assert_eq!(json["tiles"][0], format!("http://{address}/map/{{z}}/{{x}}/{{y}}.png"));
    let [west, north] = [&json["bounds"][0], &json["bounds"][3]].map(|number| number.as_f64().expect("a number"));
    let side = 2_f64.powi(14);
    let x = ((west + 180.0) / 360.0 * side) as u32;
    let y = ((1.0 - north.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0 * side) as u32;
    let tile = ask(&format!("GET /map/14/{x}/{y}.png"), b"");
    assert!(text(&tile).starts_with("HTTP/1.1 200") && text(&tile).contains("image/png"));
    let picture = fs::read(place.path("field.png")).expect("read");
    let translated = ask("POST /translate?name=field.png", &picture);
    let body = translated.windows(4).position(|four| four == b"\r\n\r\n").expect("a body") + 4;
    let picture = image::load_from_memory(&translated[body..]).expect("a picture");
    assert_eq!((picture.width(), picture.height()), (700, 500));
    let refused = text(&ask("POST /translate?name=x.png", b"no picture"));
    assert!(refused.starts_with("HTTP/1.1 422") && refused.contains("x.png is not a whole picture"), "{refused}");
    signal(&server, "TERM");
    assert!(server.wait().expect("ended").success());
}

#[test]
fn a_map_becomes_polygons_in_degrees() {
    let place = Place::new();
    // Water on land, in the colours of generated towns.
    let map: RgbImage = ImageBuffer::from_fn(80, 60, |x, y| {
        if (20..60).contains(&x) && (10..50).contains(&y) { Rgb([158, 202, 225]) } else { Rgb([244, 241, 234]) }
    });
    map.save(place.path("map.png")).expect("saved");
    fs::write(place.path("map.pgw"), "0.001 0 0 -0.001 10.0005 49.9995").expect("saved");
    place.good("digitize map.png -o map.geojson --src-crs EPSG:4326 --tolerance 0 --mode-radius 0");
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("map.geojson")).expect("GeoJSON")).expect("JSON");
    let features = json["features"].as_array().expect("features");
    assert_eq!(features.len(), 1, "land is known and not kept");
    assert_eq!(
        (&features[0]["properties"]["class"], &features[0]["properties"]["area_px"]),
        (&"water".into(), &1600.into())
    );
    let ring = features[0]["geometry"]["coordinates"][0].as_array().expect("a ring");
    assert_eq!(ring.len(), 5);
    let corners =
        ring.iter().map(|corner| [0, 1].map(|axis| corner[axis].as_f64().expect("a number"))).collect::<Vec<_>>();
    for corner in [[10.02, 49.99], [10.06, 49.99], [10.06, 49.95], [10.02, 49.95]] {
        assert!(corners.iter().any(|found| (found[0] - corner[0]).abs() < 1e-7 && (found[1] - corner[1]).abs() < 1e-7));
    }
    let area = corners.windows(2).map(|two| two[0][0] * two[1][1] - two[1][0] * two[0][1]).sum::<f64>() / 2.0;
    assert!((area - 0.0016).abs() < 1e-9, "outer rings go counter-clockwise: {area}");
}
