//! Formats numbers, times, enums and networks for people.

use digits_proto::v1::{self, JobState};
use jiff::Timestamp;
use prost_types::Timestamp as Time;
use std::time::Duration;

/// A fraction in per cent, with one digit: `90.0 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A whole number in groups of three: `7,960`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in at most two units: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `4 d 3 h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A point in time, in UTC to the second: `2026-01-31 12:00:00Z`; `-` when it is not set.
#[must_use]
pub fn time(time: Option<&Time>) -> String {
    let Some(stamp) = time.and_then(timestamp) else {
        return "-".to_owned();
    };
    stamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Time since an event, or `-` if unknown.
#[must_use]
pub fn age(time: Option<&Time>, now: Timestamp) -> String {
    let Some(stamp) = time.and_then(timestamp) else {
        return "-".to_owned();
    };
    duration(Duration::try_from(now.duration_since(stamp)).unwrap_or_default())
}

/// From one point in time to another; `None` unless both are known and in order.
#[must_use]
pub fn between(from: Option<&Time>, to: Option<&Time>) -> Option<Duration> {
    let (from, to) = (timestamp(from?)?, timestamp(to?)?);
    Duration::try_from(to.duration_since(from)).ok()
}

fn timestamp(time: &Time) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// The state of a job in a word: `running`.
#[must_use]
pub fn state(state: i32) -> String {
    JobState::try_from(state).map_or_else(
        |_| format!("state {state}"),
        |state| word(state.as_str_name(), "JOB_STATE_"),
    )
}

/// The state of a job in a word, `publishing` while a checkpoint of it waits for the storage.
#[must_use]
pub fn job_state(job: &v1::Job) -> String {
    match job.publishing {
        Some(_) => "publishing".to_owned(),
        None => state(job.state),
    }
}

/// The state of a sweep in a word, `stopping` while the jobs of a cancelled one end.
#[must_use]
pub fn sweep_state(sweep: &v1::Sweep) -> String {
    match sweep.cancel_requested {
        true => "stopping".to_owned(),
        false => word(sweep.state().as_str_name(), "SWEEP_STATE_"),
    }
}

/// The state of a trial in a word: `pending`.
#[must_use]
pub fn trial_state(trial: &v1::Trial) -> String {
    word(trial.state().as_str_name(), "TRIAL_STATE_")
}

/// Why a checkpoint waits, and until when: `the storage is full; retrying until 14:03:05`.
#[must_use]
pub fn publishing(waiting: &v1::Publishing) -> String {
    let until = waiting
        .until
        .as_ref()
        .map_or_else(String::new, |until| format!(" until {}", time(Some(until))));
    format!(
        "the checkpoint of epoch {} waits: {}; retrying{until}",
        waiting.epoch, waiting.reason
    )
}

/// The name of an enum's value without its prefix, in lower case.
#[must_use]
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix)
        .unwrap_or(name)
        .to_ascii_lowercase()
}

/// Layers of a network: `784-128-10 relu`.
#[must_use]
pub fn architecture(architecture: &v1::Architecture) -> String {
    let inner = architecture.hidden.iter().copied();
    let sizes: Vec<String> = std::iter::once(architecture.input_size)
        .chain(inner)
        .chain([architecture.classes])
        .map(|size| size.to_string())
        .collect();
    let name = word(architecture.activation().as_str_name(), "ACTIVATION_");
    let slope = architecture.negative_slope.map(|slope| format!(" {slope}"));
    format!("{} {name}{}", sizes.join("-"), slope.unwrap_or_default())
}

/// Parameters of a network as torchinfo counts them: `7,960 parameters (31,840 bytes)`.
#[must_use]
pub fn network(size: &v1::NetworkSize) -> String {
    format!(
        "{} parameters ({} bytes)",
        grouped(size.parameters),
        grouped(size.parameter_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_durations_have_two_units() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (7960, "7,960"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (seconds, text) in [
            (0.42, "0.4 s"),
            (12.9, "12 s"),
            (185.0, "3 min 05 s"),
            (7800.0, "2 h 10 min"),
            (356_400.0, "4 d 3 h"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
        assert_eq!(percent(0.9), "90.0 %");
    }

    #[test]
    fn times_are_in_utc_and_ages_are_never_negative() {
        let at = |seconds| Time { seconds, nanos: 0 };
        assert_eq!(time(Some(&at(1_700_000_000))), "2023-11-14 22:13:20Z");
        assert_eq!(time(None), "-");
        let now = Timestamp::from_second(100).expect("in range");
        assert_eq!(age(Some(&at(40)), now), "1 min 00 s");
        assert_eq!(age(Some(&at(140)), now), "0.0 s");
        assert_eq!(between(Some(&at(2)), Some(&at(1))), None);
    }

    #[test]
    fn states_and_networks_are_short_words() {
        assert_eq!(state(2), "running");
        assert_eq!(state(99), "state 99");
        let net = v1::Architecture {
            input_size: 784,
            hidden: vec![10],
            classes: 10,
            activation: 1,
            size: None,
            negative_slope: None,
        };
        assert_eq!(architecture(&net), "784-10-10 relu");
        let leaky = v1::Architecture {
            activation: 6,
            negative_slope: Some(0.2),
            ..net
        };
        assert_eq!(architecture(&leaky), "784-10-10 leaky_relu 0.2");
    }
}
