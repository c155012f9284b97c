//! Curves as SVG, drawn so that a long run costs no more than a short one.

use super::escape;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Points of a drawn line, at most.
const MOST_POINTS: usize = 300;
/// Part of a run over which smoothed lines look back.
const SMOOTHING: f64 = 0.02;

/// A curve.
pub(super) struct Line {
    name: &'static str,
    /// Colour, by its name in the page's style.
    color: &'static str,
    points: Vec<(f64, f64)>,
    smoothed: bool,
}

impl Line {
    /// A curve as it is.
    pub fn plain(name: &'static str, color: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { name, color, points, smoothed: false }
    }

    /// A noisy curve: its running mean over its own faint band.
    pub fn smoothed(name: &'static str, color: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { name, color, points, smoothed: true }
    }
}

/// Curves over steps, with horizontal marks.
pub(super) struct Chart {
    pub title: &'static str,
    pub lines: Vec<Line>,
    pub marks: Vec<(&'static str, f64)>,
}

impl Chart {
    pub fn draw(&self, page: &mut String) {
        let drawn = self.lines.iter().map(Drawn::new).collect::<Vec<_>>();
        let middle = drawn.iter().flat_map(|line| line.middle.iter().copied());
        let Some((first, last, low, high)) = self.extent(middle) else {
            return;
        };
        let (ticks, decimals) = ticks(low, high);
        let (low, high) = (low.min(ticks[0]), high.max(ticks[ticks.len() - 1]));
        let x = |step: f64| LEFT + (step - first) / (last - first).max(1.0) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| TOP + (high - value.clamp(low, high)) / (high - low) * (HEIGHT - TOP - BOTTOM);
        put!(
            page,
            "<figure class=\"chart\"><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{} over steps\" data-first=\"{first}\" data-last=\"{last}\">",
            escape(self.title),
            escape(self.title)
        );
        for tick in &ticks {
            let at = y(*tick);
            put!(
                page,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick:.decimals$}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0
            );
        }
        for step in step_ticks(first, last) {
            let step = step as f64;
            let anchor = if x(step) > WIDTH - 40.0 { "end" } else { "middle" };
            put!(
                page,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{step}</text>",
                x(step),
                HEIGHT - 8.0
            );
        }
        for (_, value) in self.marks.iter().filter(|(_, value)| (low..=high).contains(value)) {
            let at = y(*value);
            put!(page, "<line class=\"mark\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", WIDTH - RIGHT);
        }
        for (line, drawn) in self.lines.iter().zip(&drawn) {
            put!(page, "<g class=\"line {}\" data-name=\"{}\">", line.color, line.name);
            if !drawn.band.is_empty() {
                let upper = drawn.band.iter().map(|(step, _, high)| (*step, *high));
                let lower = drawn.band.iter().rev().map(|(step, low, _)| (*step, *low));
                put!(page, "<path class=\"band\" d=\"{}Z\"/>", path(upper.chain(lower), &x, &y));
            }
            put!(page, "<path class=\"curve\" d=\"{}\"/>", path(drawn.middle.iter().copied(), &x, &y));
            if let [(step, value)] = drawn.middle.as_slice() {
                put!(page, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(*step), y(*value));
            }
            page.push_str("</g>");
        }
        page.push_str("</svg><div class=\"legend\">");
        for (line, drawn) in self.lines.iter().zip(&drawn) {
            if let Some((_, value)) = drawn.middle.last() {
                let places = if value.abs() < 0.01 { 6 } else { 4 };
                put!(
                    page,
                    "<button type=\"button\" class=\"{}\" data-line=\"{}\" aria-pressed=\"true\"><i></i>{} <b>{value:.places$}</b></button>",
                    line.color,
                    line.name,
                    line.name
                );
            }
        }
        for (name, value) in &self.marks {
            let outside = if (low..=high).contains(value) { "" } else { ", off the scale" };
            put!(page, "<span class=\"marked\"><i></i>{name} <b>{value:.4}</b>{outside}</span>");
        }
        page.push_str("</div></figure>");
    }

    /// First and last step, least and greatest value: marks far away do not squeeze the curves.
    fn extent(&self, points: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64, f64, f64)> {
        let mut points = points.peekable();
        let (step, value) = *points.peek()?;
        let (first, last, mut low, mut high) = points
            .fold((step, step, value, value), |(f, l, a, b), (step, value)| {
                (f.min(step), l.max(step), a.min(value), b.max(value))
            });
        for (_, mark) in &self.marks {
            let span = (high - low).max(high.abs() * 0.1);
            if *mark > low - 1.5 * span && *mark < high + 1.5 * span {
                (low, high) = (low.min(*mark), high.max(*mark));
            }
        }
        if high - low < 1e-12 {
            let room = (high.abs() * 0.1).max(1e-6);
            (low, high) = (low - room, high + room);
        }
        Some((first, last, low, high))
    }
}

/// A line reduced to what is drawn.
struct Drawn {
    middle: Vec<(f64, f64)>,
    /// Step, least and greatest value around it.
    band: Vec<(f64, f64, f64)>,
}

impl Drawn {
    fn new(line: &Line) -> Self {
        let finite = line.points.iter().copied().filter(|(_, value)| value.is_finite()).collect::<Vec<_>>();
        let size = finite.len().div_ceil(MOST_POINTS).max(1);
        if !line.smoothed {
            let mut middle = finite.iter().copied().step_by(size).collect::<Vec<_>>();
            middle.extend(finite.last().filter(|_| (finite.len().max(1) - 1) % size != 0));
            return Self { middle, band: Vec::new() };
        }
        let window = (finite.len() as f64 * SMOOTHING).max(1.0);
        let keep = 1.0 - 1.0 / window;
        let (mut mean, mut weight) = (0.0, 0.0);
        let mut smoothed = Vec::with_capacity(finite.len());
        for (step, value) in &finite {
            mean = keep * mean + (1.0 - keep) * value;
            weight = keep * weight + (1.0 - keep);
            smoothed.push((*step, mean / weight));
        }
        let size = finite.len().div_ceil(MOST_POINTS).max(1);
        // Tenth and ninetieth percentile: single spikes do not hide everything else.
        let band = finite.chunks(size.max(finite.len() / 100)).map(|part| {
            let mut values = part.iter().map(|(_, value)| *value).collect::<Vec<_>>();
            values.sort_by(f64::total_cmp);
            let at = |part: f64| values[((values.len() - 1) as f64 * part) as usize];
            (part[part.len() / 2].0, at(0.1), at(0.9))
        });
        Self { middle: smoothed.chunks(size).filter_map(|part| part.last().copied()).collect(), band: band.collect() }
    }
}

fn path(points: impl Iterator<Item = (f64, f64)>, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let mut text = String::new();
    for (index, (step, value)) in points.enumerate() {
        put!(text, "{}{:.1} {:.1}", if index == 0 { "M" } else { "L" }, x(step), y(value));
    }
    text
}

/// Round values that cover a range, and how many decimals they need.
fn ticks(low: f64, high: f64) -> (Vec<f64>, usize) {
    let rough = (high - low) / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    let decimals = (0..12).find(|&d| (step * 10_f64.powi(d) - (step * 10_f64.powi(d)).round()).abs() < 1e-6);
    ((first..=last).map(|at| at as f64 * step).collect(), decimals.unwrap_or(6) as usize)
}

/// Round steps between the first and the last.
fn step_ticks(first: f64, last: f64) -> Vec<u64> {
    if last - first < 5.0 {
        return vec![first as u64, last as u64]
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
    }
    let (ticks, _) = ticks(first, last);
    ticks
        .into_iter()
        .filter(|tick| (first..=last).contains(tick) && tick.fract() == 0.0)
        .map(|tick| tick as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(0.0, 1.0), (vec![0.0, 0.25, 0.5, 0.75, 1.0], 2));
        let (values, decimals) = ticks(0.061, 0.094);
        assert!(values[0] <= 0.061 && values[values.len() - 1] >= 0.094 && decimals == 2, "{values:?} {decimals}");
        assert_eq!(step_ticks(1.0, 2.0), [1, 2]);
        assert_eq!(step_ticks(1.0, 1.0), [1]);
    }

    #[test]
    fn smoothing_stays_between_the_values_and_begins_at_the_first() {
        let points = (0..1000).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let drawn = Drawn::new(&Line::smoothed("x", "a", points));
        assert!(drawn.middle.len() <= MOST_POINTS && drawn.middle.iter().all(|(_, v)| (0.0..=1.0).contains(v)));
        assert!((drawn.middle[200].1 - 0.5).abs() < 0.1);
    }
}
