//! What a run's log says of its health, in sentences with advice.

use crate::train::log::{FinishReason, FinishRecord, Record, StartRecord, StepRecord, ValidationRecord};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a change.
    Warning,
    /// The run does not do its job.
    Problem,
}

/// Something that the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// In a few words.
    pub title: String,
    /// In figures.
    pub detail: String,
    /// What to do; may be empty.
    pub advice: String,
}

/// Loss of a discriminator that cannot tell real from fake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiscriminatorScale {
    /// The value of `d_real` and `d_fake` then.
    pub balanced: f32,
}

/// Below this part of the undecided loss, a discriminator tells nearly every patch.
const TOO_STRONG: f64 = 0.06;
/// Within this part of the undecided loss on both sides, it tells nothing.
const TOO_WEAK: f64 = 0.06;
/// Part of the run, at its end, over which the discriminator is judged.
const JUDGED: f64 = 0.3;
/// Steps that a judgement of the discriminator needs.
const ENOUGH_STEPS: usize = 100;
/// Validation L1 this much above its best counts as risen, when training L1 has fallen meanwhile.
const RISEN: f64 = 1.08;
/// A share of waiting above this slows training by more than noise.
const STARVED: f64 = 0.10;
/// Fewer pairs than the smallest data sets that the field has published results on.
const FEW_PAIRS: usize = 40;
/// The last quarter of a run still gained this much of the L1 before it.
const STILL_IMPROVING: f64 = 0.04;

/// Reads a log; never empty.
pub fn diagnose(records: &[Record], scale: DiscriminatorScale) -> Vec<Finding> {
    let (mut start, mut finish): (Option<&StartRecord>, Option<&FinishRecord>) = (None, None);
    let (mut steps, mut validations) = (Vec::new(), Vec::new());
    for record in records {
        match record {
            Record::Start(record) => (start, finish) = (Some(record), None),
            Record::Step(record) => steps.push(record),
            Record::Validation(record) => validations.push(record),
            Record::Finish(record) => finish = Some(record),
        }
    }
    let mut findings = Vec::new();
    findings.extend(ended(start, finish, &steps));
    findings.extend(discriminator(&steps, scale));
    findings.extend(baseline(start, &validations));
    findings.extend(overfitting(&validations));
    findings.extend(starved(&steps));
    findings.extend(pairs(start));
    let healthy = findings.iter().all(|finding| finding.severity == Severity::Info);
    findings.extend(texture(start, &validations));
    findings.extend(improving(&validations, finish));
    if healthy && !steps.is_empty() {
        let detail = "Both networks are in balance, validation L1 beats the baselines where there are any, and training did \
                      not wait for data.";
        findings.insert(0, finding(Severity::Info, "This run looks healthy", detail.into(), ""));
    }
    if findings.is_empty() {
        findings.push(finding(Severity::Info, "Nothing to tell yet", "No step is done.".into(), ""));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn finding(severity: Severity, title: &str, detail: String, advice: &str) -> Finding {
    Finding { severity, title: title.into(), detail, advice: advice.into() }
}

fn ended(start: Option<&StartRecord>, finish: Option<&FinishRecord>, steps: &[&StepRecord]) -> Option<Finding> {
    let (done, total) = (steps.last()?.step, start?.total_steps);
    match finish.map(|finish| finish.reason) {
        Some(FinishReason::NotFinite) => Some(finding(
            Severity::Problem,
            "Training broke off: a loss was not a finite number",
            format!("It happened at step {done} of {total}. The checkpoint before is whole."),
            "Go on from it with a smaller learning rate, or with the lsgan objective. Look the data over with p2p check.",
        )),
        Some(FinishReason::Interrupted) => Some(finding(
            Severity::Info,
            "Stopped before its end",
            format!("{done} of {total} steps are done."),
            "p2p train --resume goes on as if nothing had happened.",
        )),
        _ => None,
    }
}

fn discriminator(steps: &[&StepRecord], scale: DiscriminatorScale) -> Option<Finding> {
    if steps.len() < ENOUGH_STEPS {
        return None;
    }
    let judged = &steps[steps.len() - (steps.len() as f64 * JUDGED) as usize..];
    let mean = |value: fn(&StepRecord) -> f32| {
        let finite = judged.iter().map(|record| f64::from(value(record))).filter(|value| value.is_finite());
        let (sum, count) = finite.fold((0.0, 0.0_f64), |(sum, count), value| (sum + value, count + 1.0));
        sum / count.max(1.0)
    };
    let balanced = f64::from(scale.balanced);
    let (real, fake) = (mean(|r| r.d_real) / balanced, mean(|r| r.d_fake) / balanced);
    let figures = format!(
        "Over the last {} steps its loss was {:.3} on real and {:.3} on fake pairs; an undecided one has {balanced:.3}.",
        judged.len(),
        real * balanced,
        fake * balanced
    );
    if real < TOO_STRONG && fake < TOO_STRONG {
        return Some(finding(
            Severity::Warning,
            "The discriminator is too strong",
            figures,
            "It tells nearly every patch, and the generator learns little from it. Try fewer discriminator layers, a smaller \
             discriminator width, the lsgan objective, or more varied data.",
        ));
    }
    // Losses of single steps move even when nothing is learnt; undecided on both sides on average and in spread is the sign.
    let spread = judged.iter().map(|r| (f64::from(r.d_real) / balanced - 1.0).abs()).sum::<f64>() / judged.len() as f64;
    if (real - 1.0).abs() < TOO_WEAK && (fake - 1.0).abs() < TOO_WEAK && spread < 2.0 * TOO_WEAK {
        return Some(finding(
            Severity::Warning,
            "The discriminator learns nothing",
            figures,
            "It cannot tell real from fake, so only the reconstruction loss teaches the generator. Try a wider discriminator, \
             or look whether pairs are misaligned.",
        ));
    }
    None
}

fn baseline(start: Option<&StartRecord>, validations: &[&ValidationRecord]) -> Option<Finding> {
    let last = validations.last()?.scores.l1;
    let candidates = [
        ("always giving the mean picture of the targets", start?.baseline_mean_picture),
        ("giving the source itself", start?.baseline_source_copied),
    ];
    let beating =
        candidates.into_iter().filter_map(|(name, scores)| Some((name, scores?.l1))).find(|(_, l1)| last >= *l1)?;
    Some(finding(
        Severity::Problem,
        "Not better than a baseline that learnt nothing",
        format!("Validation L1 is {last:.4}; {} has {:.4}.", beating.0, beating.1),
        "Train longer. If that does not help, look whether the direction is right and the pairs are aligned (p2p check).",
    ))
}

fn texture(start: Option<&StartRecord>, validations: &[&ValidationRecord]) -> Option<Finding> {
    let (last, mean) = (validations.last()?.scores.ssim, start?.baseline_mean_picture?.ssim);
    (last < mean).then(|| {
        finding(
            Severity::Info,
            "Rougher than the targets",
            format!("Validation SSIM is {last:.3}; always giving the mean picture of the targets has {mean:.3}."),
            "The fakes hold texture where the targets are smooth, which training for longer mostly settles.",
        )
    })
}

fn overfitting(validations: &[&ValidationRecord]) -> Option<Finding> {
    let best = validations.iter().min_by(|a, b| a.scores.l1.total_cmp(&b.scores.l1))?;
    let last = validations.last()?;
    let (then, now) = (best.train_l1?, last.train_l1?);
    (last.scores.l1 > best.scores.l1 * RISEN && now < then).then(|| {
        finding(
            Severity::Warning,
            "Overfitting",
            format!(
                "Validation L1 was best at step {} with {:.4} and is {:.4} now, while training L1 fell from {then:.4} to {now:.4}.",
                best.step, best.scores.l1, last.scores.l1
            ),
            "Use the checkpoint `best`, add pairs, or augment more (flips, turns, colour jitter of the source).",
        )
    })
}

fn starved(steps: &[&StepRecord]) -> Option<Finding> {
    let last = steps.last()?;
    let share = last.wait_seconds / last.seconds.max(1e-9);
    (share > STARVED && steps.len() >= ENOUGH_STEPS).then(|| {
        finding(
            Severity::Warning,
            "Training waits for data",
            format!("{:.0} % of the time, {:.0} s, went by waiting for pairs.", share * 100.0, last.wait_seconds),
            "Give the loader more threads or a cache of decoded pairs, or store pictures nearer to the training size.",
        )
    })
}

fn pairs(start: Option<&StartRecord>) -> Option<Finding> {
    let count = start?.num_train_pairs;
    (count < FEW_PAIRS).then(|| {
        finding(
            Severity::Info,
            "Few pairs",
            format!("{count} pairs are fewer than the smallest published sets have."),
            "Expect the model to know them by heart; more pairs help more than more steps.",
        )
    })
}

fn improving(validations: &[&ValidationRecord], finish: Option<&FinishRecord>) -> Option<Finding> {
    let complete = finish.is_some_and(|finish| finish.reason == FinishReason::Completed);
    if !complete || validations.len() < 4 {
        return None;
    }
    let quarter = &validations[validations.len() * 3 / 4 - 1..];
    let (before, after) = (quarter.first()?.scores.l1, quarter.last()?.scores.l1);
    (after < before * (1.0 - STILL_IMPROVING)).then(|| {
        finding(
            Severity::Info,
            "Still improving at its end",
            format!("Over the last quarter validation L1 fell from {before:.4} to {after:.4}."),
            "A longer run would do better.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Scores;

    const SCALE: DiscriminatorScale = DiscriminatorScale { balanced: std::f32::consts::LN_2 };

    fn scores(l1: f64) -> Scores {
        Scores { l1, psnr: 20.0, ssim: 0.5 }
    }

    fn log(d_real: f32, d_fake: f32, waits: f64, l1: &[(f64, f64)]) -> Vec<Record> {
        let mut records = vec![Record::Start(StartRecord {
            num_train_pairs: 400,
            num_val_pairs: 20,
            total_steps: 400,
            baseline_mean_picture: Some(scores(0.3)),
            baseline_source_copied: None,
            resumed_at_step: 0,
        })];
        for (part, (val, train)) in l1.iter().enumerate() {
            for step in 1..=400 / l1.len() as u64 {
                let step = part as u64 * (400 / l1.len() as u64) + step;
                // Losses of real runs swing from step to step.
                let swing = if step.is_multiple_of(2) { 1.3 } else { 0.7 };
                records.push(Record::Step(StepRecord {
                    step,
                    epoch: 0,
                    g_gan: 1.0,
                    g_l1: 0.2,
                    d_real: d_real * swing,
                    d_fake: d_fake * swing,
                    learning_rate: 2e-4,
                    seconds: step as f64,
                    wait_seconds: step as f64 * waits,
                }));
            }
            records.push(Record::Validation(ValidationRecord {
                step: (part as u64 + 1) * (400 / l1.len() as u64),
                epoch: 1,
                scores: scores(*val),
                train_l1: Some(*train),
            }));
        }
        records
    }

    fn titles(records: &[Record], scale: DiscriminatorScale) -> Vec<String> {
        diagnose(records, scale).into_iter().map(|finding| finding.title).collect()
    }

    const GOOD: [(f64, f64); 4] = [(0.2, 0.2), (0.15, 0.14), (0.13, 0.12), (0.128, 0.11)];

    #[test]
    fn a_healthy_run_raises_no_alarm_under_any_objective() {
        for balanced in [std::f32::consts::LN_2, 0.25, 1.0] {
            let records = log(0.7 * balanced, 0.6 * balanced, 0.01, &GOOD);
            assert_eq!(titles(&records, DiscriminatorScale { balanced }), ["This run looks healthy"], "{balanced}");
        }
    }

    #[test]
    fn each_illness_is_found() {
        assert_eq!(titles(&log(0.01, 0.02, 0.0, &GOOD), SCALE), ["The discriminator is too strong"]);
        let mut idle = log(SCALE.balanced, SCALE.balanced, 0.0, &GOOD);
        for record in &mut idle {
            if let Record::Step(step) = record {
                (step.d_real, step.d_fake) = (SCALE.balanced, SCALE.balanced);
            }
        }
        assert_eq!(titles(&idle, SCALE), ["The discriminator learns nothing"]);
        assert_eq!(titles(&log(0.4, 0.4, 0.3, &GOOD), SCALE), ["Training waits for data"]);
        let worse = [(0.2, 0.2), (0.15, 0.14), (0.17, 0.10), (0.19, 0.06)];
        assert_eq!(titles(&log(0.4, 0.4, 0.0, &worse), SCALE), ["Overfitting"]);
        let bad = [(0.5, 0.5), (0.4, 0.4)];
        assert_eq!(titles(&log(0.4, 0.4, 0.0, &bad), SCALE), ["Not better than a baseline that learnt nothing"]);
        let mut rough = log(0.4, 0.4, 0.0, &GOOD);
        if let Record::Validation(last) = rough.last_mut().expect("records") {
            last.scores.ssim = 0.1;
        }
        assert!(titles(&rough, SCALE).contains(&"Rougher than the targets".to_owned()));
    }

    #[test]
    fn ends_are_told_and_an_empty_log_is_no_error() {
        let mut records = log(0.4, 0.4, 0.0, &GOOD);
        let finish = |reason| {
            Record::Finish(FinishRecord { step: 400, reason, seconds: 1.0, wait_seconds: 0.0, peak_memory_mib: None })
        };
        records.push(finish(FinishReason::NotFinite));
        assert!(titles(&records, SCALE)[0].starts_with("Training broke off"));
        assert_eq!(diagnose(&records, SCALE)[0].severity, Severity::Problem);
        records.pop();
        records.push(finish(FinishReason::Interrupted));
        assert!(titles(&records, SCALE).contains(&"Stopped before its end".to_owned()));
        assert_eq!(titles(&[], SCALE), ["Nothing to tell yet"]);
    }

    #[test]
    fn a_run_that_still_improves_is_told_to_go_on() {
        let falling = [(0.25, 0.2), (0.2, 0.2), (0.16, 0.15), (0.12, 0.11)];
        let mut records = log(0.4, 0.4, 0.0, &falling);
        records.push(Record::Finish(FinishRecord {
            step: 400,
            reason: FinishReason::Completed,
            seconds: 1.0,
            wait_seconds: 0.0,
            peak_memory_mib: None,
        }));
        assert!(titles(&records, SCALE).contains(&"Still improving at its end".to_owned()));
    }
}
