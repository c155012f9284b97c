//! The run's report: one self-contained page with pictures, curves and a plain-language diagnosis.
//!
//! Pure: records and pictures in, HTML out. Knows neither files nor networks.

/// Appends formatted text to a page.
macro_rules! put {
    ($page:expr, $($text:tt)*) => { $page.push_str(&format!($($text)*)) };
}

mod chart;
pub mod diagnosis;

use base64::{Engine, engine::general_purpose::STANDARD};

use self::{
    chart::{Chart, Line},
    diagnosis::{Finding, Severity, diagnose},
};
use super::log::{FinishReason, FinishRecord, Record, StartRecord, StepRecord, ValidationRecord};
use crate::{
    metrics::Scores,
    pixel::{Picture, PixelError, encode::jpeg_bytes, resize::bicubic},
};

pub use diagnosis::DiscriminatorScale;

/// Longest side of pictures on the page, in pixels.
const LONGEST_SIDE: usize = 384;
/// JPEG quality of pictures on the page.
const QUALITY: u8 = 88;

/// A picture file for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedImage {
    /// Its type, for example `image/jpeg`.
    pub mime: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// A picture as the page embeds it: reduced to a readable size, as JPEG.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn embed(picture: &Picture) -> Result<EncodedImage, PixelError> {
    let longest = picture.width().max(picture.height());
    let picture = if longest > LONGEST_SIDE {
        let scaled = |side: usize| (side * LONGEST_SIDE / longest).max(1);
        bicubic(picture, scaled(picture.width()), scaled(picture.height()))
    } else {
        picture.clone()
    };
    let (width, height) = (picture.width(), picture.height());
    Ok(EncodedImage { mime: "image/jpeg", bytes: jpeg_bytes(&picture, QUALITY)?, width, height })
}

/// A fixed pair over the course of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The pair's name.
    pub name: String,
    /// Its source.
    pub source: EncodedImage,
    /// Its target.
    pub target: EncodedImage,
    /// Fakes, each after so many steps.
    pub fakes: Vec<(u64, EncodedImage)>,
}

/// A picture that training has not seen, translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The picture's name.
    pub name: String,
    /// The picture.
    pub source: EncodedImage,
    /// Its translation.
    pub fake: EncodedImage,
    /// What it should look like, where that is known.
    pub target: Option<EncodedImage>,
}

/// What the page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportInput {
    /// Name of the run.
    pub run_name: String,
    /// The resolved configuration.
    pub config_toml: String,
    /// The whole log.
    pub records: Vec<Record>,
    /// Fixed pairs over the course of the run.
    pub samples: Vec<Sample>,
    /// Unseen pictures, translated.
    pub translations: Vec<Translation>,
    /// Parameters of generator and discriminator.
    pub num_parameters: Option<(usize, usize)>,
    /// Version of this toolkit.
    pub version: String,
    /// The discriminator's scale.
    pub scale: DiscriminatorScale,
}

/// The log, sorted by kind.
struct Sorted<'a> {
    start: Option<&'a StartRecord>,
    steps: Vec<&'a StepRecord>,
    validations: Vec<&'a ValidationRecord>,
    finish: Option<&'a FinishRecord>,
}

impl<'a> Sorted<'a> {
    fn new(records: &'a [Record]) -> Self {
        let mut sorted = Self { start: None, steps: Vec::new(), validations: Vec::new(), finish: None };
        for record in records {
            match record {
                // A session that goes on is not finished, whatever the one before said.
                Record::Start(start) => (sorted.start, sorted.finish) = (Some(start), None),
                Record::Step(step) => sorted.steps.push(step),
                Record::Validation(validation) => sorted.validations.push(validation),
                Record::Finish(finish) => sorted.finish = Some(finish),
            }
        }
        sorted
    }
}

/// The page as one HTML file.
pub fn render(input: &ReportInput) -> String {
    let sorted = Sorted::new(&input.records);
    let findings = diagnose(&input.records, input.scale);
    let mut body = String::new();
    head(&mut body, input, &sorted, &findings);
    translations(&mut body, &input.translations);
    samples(&mut body, &input.samples);
    curves(&mut body, &sorted, input.scale);
    advice(&mut body, &findings);
    put!(
        body,
        "<section><details><summary>Configuration</summary><pre>{}</pre></details></section>",
        escape(&input.config_toml)
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name} · p2p report</title><link rel=\"icon\" href=\"data:,\"><style>{css}</style></head>\
         <body><main>{body}<footer>p2p {version}</footer></main><script>{js}</script></body></html>\n",
        name = escape(&input.run_name),
        css = include_str!("report/page.css"),
        js = include_str!("report/page.js"),
        version = escape(&input.version),
    )
}

fn head(page: &mut String, input: &ReportInput, sorted: &Sorted<'_>, findings: &[Finding]) {
    let best = sorted.validations.iter().min_by(|a, b| a.scores.l1.total_cmp(&b.scores.l1));
    let last = sorted.validations.last();
    let (done, total) = (sorted.steps.last().map_or(0, |step| step.step), sorted.start.map_or(0, |s| s.total_steps));
    let state = match sorted.finish.map(|finish| finish.reason) {
        Some(FinishReason::Completed) => format!("{done} steps, complete"),
        Some(FinishReason::Interrupted) => format!("stopped after {done} of {total} steps"),
        Some(FinishReason::NotFinite) => format!("broke off at step {done} of {total}"),
        None => format!("{done} of {total} steps so far"),
    };
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
    let first = findings.iter().find(|finding| finding.severity == worst);
    let verdict = first.map_or("", |finding| finding.title.as_str());
    put!(
        page,
        "<header><h1>{}</h1><p class=\"state\">{}</p><p class=\"verdict {}\">{}</p></header>",
        escape(&input.run_name),
        escape(&state),
        class_of(worst),
        escape(verdict)
    );
    let rows = [
        ("This model, last", last.map(|record| record.scores)),
        ("This model, best L1", best.filter(|best| last.is_none_or(|l| l.step != best.step)).map(|r| r.scores)),
        ("Mean picture of the targets", sorted.start.and_then(|start| start.baseline_mean_picture)),
        ("Source copied", sorted.start.and_then(|start| start.baseline_source_copied)),
    ];
    page.push_str("<section class=\"figures\">");
    if rows.iter().any(|(_, scores)| scores.is_some()) {
        page.push_str(
            "<table><thead><tr><th>Validation</th><th>L1 <small>less is better</small></th>\
             <th>PSNR dB <small>more is better</small></th><th>SSIM <small>more is better</small></th></tr></thead><tbody>",
        );
        for (name, scores) in rows {
            if let Some(Scores { l1, psnr, ssim }) = scores {
                put!(page, "<tr><th>{name}</th><td>{l1:.4}</td><td>{psnr:.2}</td><td>{ssim:.3}</td></tr>");
            }
        }
        page.push_str("</tbody></table>");
    }
    page.push_str("<dl>");
    let mut fact = |name: &str, value: String| {
        put!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    };
    if let Some(start) = sorted.start {
        fact("Pairs", format!("{} to train, {} to validate", start.num_train_pairs, start.num_val_pairs));
    }
    if let Some((generator, discriminator)) = input.num_parameters {
        let millions = |count: usize| format!("{:.2} M", count as f64 / 1e6);
        fact("Parameters", format!("G {}, D {}", millions(generator), millions(discriminator)));
    }
    if let Some(step) = sorted.steps.last() {
        let pace = step.step as f64 / step.seconds.max(1e-9);
        fact("Time", format!("{} at {pace:.2} steps/s", duration(step.seconds)));
        let share = 100.0 * step.wait_seconds / step.seconds.max(1e-9);
        fact("Waited for data", format!("{:.1} s, {share:.1} %", step.wait_seconds));
    }
    if let Some(memory) = sorted.finish.and_then(|finish| finish.peak_memory_mib) {
        fact("Peak memory", format!("{memory:.0} MiB"));
    }
    page.push_str("</dl></section>");
}

fn translations(page: &mut String, translations: &[Translation]) {
    if translations.is_empty() {
        return;
    }
    page.push_str("<section><h2>Translated, never seen in training</h2>");
    for translation in translations {
        let mut parts = vec![("source", &translation.source), ("translation", &translation.fake)];
        parts.extend(translation.target.as_ref().map(|target| ("target", target)));
        page.push_str("<div class=\"strip\">");
        for (label, picture) in parts {
            figure(page, label, &format!("{}, {label}", translation.name), picture, "");
        }
        page.push_str("</div>");
    }
    page.push_str("</section>");
}

fn samples(page: &mut String, samples: &[Sample]) {
    let steps = samples.iter().flat_map(|sample| sample.fakes.iter().map(|(step, _)| *step));
    let steps = steps.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    if steps.is_empty() {
        return;
    }
    let list = steps.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let last = steps.len() - 1;
    put!(
        page,
        "<section><h2>Fixed samples over the course of training</h2><div class=\"scrub\" data-steps=\"{list}\">\
         <button type=\"button\" id=\"play\" aria-label=\"play\">▶</button>\
         <input type=\"range\" id=\"moment\" min=\"0\" max=\"{last}\" value=\"{last}\" aria-label=\"moment of training\">\
         <output id=\"step\">step {}</output></div>",
        steps[last]
    );
    for sample in samples {
        put!(page, "<p class=\"name\">{}</p><div class=\"strip\">", escape(&sample.name));
        figure(page, "source", &format!("{}, source", sample.name), &sample.source, "");
        page.push_str("<figure class=\"moments\">");
        for (step, picture) in &sample.fakes {
            let at = steps.iter().position(|known| known == step).unwrap_or(0);
            let hidden = if at == last { "" } else { " hidden" };
            image(
                page,
                &format!("{}, fake after step {step}", sample.name),
                picture,
                &format!(" data-moment=\"{at}\"{hidden}"),
            );
        }
        page.push_str("<figcaption>fake</figcaption></figure>");
        figure(page, "target", &format!("{}, target", sample.name), &sample.target, "");
        page.push_str("</div>");
    }
    page.push_str("</section>");
}

fn curves(page: &mut String, sorted: &Sorted<'_>, scale: DiscriminatorScale) {
    if sorted.steps.is_empty() {
        page.push_str("<section><h2>Losses</h2><p>No step is done yet.</p></section>");
        return;
    }
    let points = |value: fn(&StepRecord) -> f64| {
        sorted.steps.iter().map(|record| (record.step as f64, value(record))).collect::<Vec<_>>()
    };
    let scored = |value: fn(&Scores) -> f64| {
        sorted.validations.iter().map(|record| (record.step as f64, value(&record.scores))).collect::<Vec<_>>()
    };
    page.push_str("<section><h2>Losses</h2><div class=\"charts\">");
    let adversarial = Chart {
        title: "Adversarial losses",
        lines: vec![
            Line::smoothed("g_gan", "a", points(|r| r.g_gan.into())),
            Line::smoothed("d_real", "b", points(|r| r.d_real.into())),
            Line::smoothed("d_fake", "c", points(|r| r.d_fake.into())),
        ],
        marks: vec![("undecided discriminator", scale.balanced.into())],
    };
    let l1 = Chart {
        title: "Reconstruction loss",
        lines: vec![Line::smoothed("g_l1", "d", points(|r| r.g_l1.into()))],
        marks: Vec::new(),
    };
    adversarial.draw(page);
    l1.draw(page);
    page.push_str("</div></section>");
    let baseline = |value: fn(&Scores) -> f64| {
        let start = sorted.start;
        let mean = start.and_then(|s| s.baseline_mean_picture).map(|s| ("mean picture", value(&s)));
        let copied = start.and_then(|s| s.baseline_source_copied).map(|s| ("source copied", value(&s)));
        mean.into_iter().chain(copied).collect::<Vec<_>>()
    };
    if !sorted.validations.is_empty() {
        let train = sorted.validations.iter().filter_map(|record| Some((record.step as f64, record.train_l1?)));
        page.push_str("<section><h2>Validation</h2><div class=\"charts\">");
        let l1 = Chart {
            title: "L1",
            lines: vec![
                Line::plain("validation", "a", scored(|s| s.l1)),
                Line::plain("training", "b", train.collect()),
            ],
            marks: baseline(|s| s.l1),
        };
        let psnr = Chart {
            title: "PSNR, dB",
            lines: vec![Line::plain("validation", "a", scored(|s| s.psnr))],
            marks: baseline(|s| s.psnr),
        };
        let ssim = Chart {
            title: "SSIM",
            lines: vec![Line::plain("validation", "a", scored(|s| s.ssim))],
            marks: baseline(|s| s.ssim),
        };
        for chart in [l1, psnr, ssim] {
            chart.draw(page);
        }
        page.push_str("</div></section>");
    }
    page.push_str("<section><h2>Learning rate</h2><div class=\"charts\">");
    let rate = Line::plain("learning rate", "d", points(|r| r.learning_rate));
    Chart { title: "Learning rate", lines: vec![rate], marks: Vec::new() }.draw(page);
    page.push_str("</div></section>");
}

fn advice(page: &mut String, findings: &[Finding]) {
    page.push_str("<section><h2>Diagnosis</h2>");
    for finding in findings {
        put!(
            page,
            "<article class=\"{}\"><h3>{}</h3><p>{}</p>",
            class_of(finding.severity),
            escape(&finding.title),
            escape(&finding.detail)
        );
        if !finding.advice.is_empty() {
            put!(page, "<p class=\"advice\">{}</p>", escape(&finding.advice));
        }
        page.push_str("</article>");
    }
    page.push_str("</section>");
}

const fn class_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Problem => "problem",
    }
}

fn figure(page: &mut String, label: &str, alt: &str, picture: &EncodedImage, attributes: &str) {
    page.push_str("<figure>");
    image(page, alt, picture, attributes);
    put!(page, "<figcaption>{label}</figcaption></figure>");
}

fn image(page: &mut String, alt: &str, picture: &EncodedImage, attributes: &str) {
    put!(
        page,
        "<img alt=\"{}\" width=\"{}\" height=\"{}\" src=\"data:{};base64,{}\"{attributes}>",
        escape(alt),
        picture.width,
        picture.height,
        picture.mime,
        STANDARD.encode(&picture.bytes)
    );
}

fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// Text that is safe between tags and in attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> EncodedImage {
        embed(&Picture::filled(8, 4, &[1, 2, 3])).expect("a picture")
    }

    fn step(step: u64) -> Record {
        Record::Step(StepRecord {
            step,
            epoch: 0,
            g_gan: if step == 7 { f32::NAN } else { 1.0 },
            g_l1: 0.5,
            d_real: 0.6,
            d_fake: 0.6,
            learning_rate: 2e-4,
            seconds: step as f64,
            wait_seconds: 0.0,
        })
    }

    fn input(records: Vec<Record>) -> ReportInput {
        ReportInput {
            run_name: "<b>&\"x\"".into(),
            config_toml: "seed = 0\n# <script>".into(),
            records,
            samples: vec![Sample {
                name: "a<b".into(),
                source: picture(),
                target: picture(),
                fakes: vec![(0, picture()), (100, picture())],
            }],
            translations: Vec::new(),
            num_parameters: Some((54_413_955, 2_768_705)),
            version: "0".into(),
            scale: DiscriminatorScale { balanced: 0.69 },
        }
    }

    #[test]
    fn the_page_holds_everything_itself_and_escapes_names() {
        let page = render(&input((1..=50).map(step).collect()));
        assert!(page.contains("&lt;b&gt;&amp;&quot;x&quot;") && !page.contains("<b>&"));
        assert!(page.contains("a&lt;b, fake after step 100") && page.contains("G 54.41 M, D 2.77 M"));
        for outside in ["http://", "https://", "src=\"/", "@import"] {
            assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
        }
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn an_empty_log_and_a_single_step_make_a_page_too() {
        assert!(render(&input(Vec::new())).contains("No step is done yet"));
        assert!(render(&input(vec![step(1)])).contains("<svg"));
    }

    #[test]
    fn a_long_log_makes_a_page_of_bounded_size() {
        let page = render(&input((1..=100_000).map(step).collect()));
        assert!(page.len() < 400_000, "{} bytes", page.len());
    }
}
