//! Parsers for the values of options, with their error messages.

use crate::engine::decode::{Controller, Proposers, Strategy};
use crate::engine::kernels::MAX_THREADS;
use crate::engine::model::DeviceRequest;
use crate::engine::sampling::Coupling;
use crate::eval::datasets::DatasetName;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The value of an option that can also be unset explicitly: `None`, as in Python, or −1 where LayerSkip uses it for
/// the model's default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Given<T>(Option<T>);

impl<T: Copy> Given<T> {
    /// The value of an option, if set.
    pub fn value(option: Option<Self>) -> Option<T> {
        option.and_then(|given| given.0)
    }

    /// The values of a list that are set.
    pub fn values(list: &[Self]) -> Vec<T> {
        list.iter().filter_map(|given| given.0).collect()
    }
}

fn given<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Given<T>, String> {
    match text {
        "None" => Ok(Given(None)),
        text => parse(text).map(|value| Given(Some(value))),
    }
}

/// An integer in `range`, which `allowed` describes in the error message.
fn whole<T>(text: &str, range: RangeInclusive<T>, allowed: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    match text.trim().parse() {
        Ok(value) if range.contains(&value) => Ok(value),
        // Too large for the type, or negative.
        _ if is_whole(text.trim()) => Err(format!("expected {allowed}")),
        _ => Err(format!("not an integer; expected {allowed}")),
    }
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A non-negative integer.
pub fn count(text: &str) -> Result<usize, String> {
    whole(text, 0..=usize::MAX, &format!("0 to {}", usize::MAX))
}

pub fn positive(text: &str) -> Result<usize, String> {
    whole(text, 1..=usize::MAX, &format!("1 to {}", usize::MAX))
}

pub fn days(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX, &format!("0 to {}", u64::MAX))
}

pub fn given_count(text: &str) -> Result<Given<usize>, String> {
    given(text, count)
}

pub fn seed(text: &str) -> Result<Given<u64>, String> {
    given(text, |text| {
        whole(text, 0..=u64::MAX, &format!("0 to {}", u64::MAX))
    })
}

pub fn token_id(text: &str) -> Result<Given<u32>, String> {
    given(text, |text| {
        whole(text, 0..=u32::MAX, &format!("0 to {}", u32::MAX))
    })
}

/// An exit layer. The number of layers is only known once the model is loaded.
pub fn exit_layer(text: &str) -> Result<Given<usize>, String> {
    or_default(
        text,
        "1 to the model's layers minus 1, or -1 for the model's default",
    )
}

pub fn num_speculations(text: &str) -> Result<Given<usize>, String> {
    or_default(text, "1 or more, or -1 for the model's default")
}

/// A count, or −1 for the model's default. The engine validates 0, because it depends on the strategy.
fn or_default(text: &str, allowed: &str) -> Result<Given<usize>, String> {
    match text.trim() {
        "-1" => Ok(Given(None)),
        text => given(text, |text| whole(text, 0..=usize::MAX, allowed)),
    }
}

pub fn threads(text: &str) -> Result<usize, String> {
    whole(text, 1..=MAX_THREADS, &format!("1 to {MAX_THREADS}"))
}

/// A number. Its range is validated where it is known.
pub fn real(text: &str) -> Result<Given<f32>, String> {
    given(text, |text| {
        text.trim().parse().map_err(|_| "not a number".to_owned())
    })
}

/// A device name, validated but unchanged.
pub fn device(text: &str) -> Result<String, String> {
    text.parse::<DeviceRequest>()
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A fraction, 0 to 1.
pub fn share(text: &str) -> Result<f32, String> {
    match text.trim().parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected 0 to 1".into()),
    }
}

/// A number of seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    const MAX: f64 = 3600.0;
    match text.trim().parse() {
        Ok(seconds) if (0.0..=MAX).contains(&seconds) => Ok(seconds),
        _ => Err(format!("expected 0 to {MAX}")),
    }
}

pub fn dataset(text: &str) -> Result<DatasetName, String> {
    text.parse()
}

pub fn temperature(text: &str) -> Result<f32, String> {
    match text.trim().parse() {
        Ok(temperature) if (0.0..=100.0).contains(&temperature) => Ok(temperature),
        _ => Err("expected 0 (greedy) to 100".into()),
    }
}

pub fn controller(text: &str) -> Result<Controller, String> {
    text.parse()
}

/// The speed of a replay, as a multiple of the original.
pub fn speed(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(speed) if speed > 0.0 => Ok(speed),
        _ => Err("expected a number above 0; inf plays everything at once".into()),
    }
}

/// A non-empty text.
pub fn filled(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("it is empty".into()),
        false => Ok(text.to_owned()),
    }
}

pub fn strategy(text: &str) -> Result<Strategy, String> {
    match text.replace('_', "-").to_lowercase().as_str() {
        "autoregressive" => Ok(Strategy::Autoregressive),
        "early-exit" => Ok(Strategy::EarlyExit),
        "self-speculative" => Ok(Strategy::SelfSpeculative),
        _ => Err("choose autoregressive, early-exit or self-speculative".into()),
    }
}

pub fn proposers(text: &str) -> Result<Proposers, String> {
    let name = text.to_lowercase();
    let found = Proposers::ALL
        .into_iter()
        .find(|proposers| proposers.name() == name);
    found.ok_or_else(|| "choose exit, lookup, exit+lookup or auto".into())
}

pub fn coupling(text: &str) -> Result<Coupling, String> {
    match text.replace('_', "-").to_lowercase().as_str() {
        "shared-noise" => Ok(Coupling::SharedNoise),
        "rejection" => Ok(Coupling::Rejection),
        _ => Err("choose shared-noise or rejection".into()),
    }
}

/// `true` and `false`, ignoring case, and the short forms that Python command lines accept.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("choose true or false".into()),
    }
}

/// As [`boolean`], for switches.
pub fn switch(text: &str) -> Result<bool, String> {
    boolean(text).map_err(|_| "choose on or off".into())
}

pub fn given_boolean(text: &str) -> Result<Given<bool>, String> {
    given(text, boolean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_unset_values_are_known() {
        for parse in [exit_layer, num_speculations] {
            assert_eq!(parse("-1"), Ok(Given(None)));
            assert_eq!(parse("None"), Ok(Given(None)));
            assert_eq!(parse("3"), Ok(Given(Some(3))));
        }
        assert_eq!(given_count("None"), Ok(Given(None)));
        assert_eq!(seed("None"), Ok(Given(None)));
        assert_eq!(real("None"), Ok(Given(None)));
        assert_eq!(given_boolean("None"), Ok(Given(None)));
        assert!(given_count("-1").is_err() && count("None").is_err());
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        let fault = |outcome: Result<String, String>| outcome.unwrap_err();
        let max = u64::MAX;
        assert_eq!(
            fault(seed("-1").map(|_| String::new())),
            format!("expected 0 to {max}")
        );
        assert_eq!(
            fault(seed("99999999999999999999").map(|_| String::new())),
            format!("expected 0 to {max}")
        );
        assert_eq!(
            fault(seed("soon").map(|_| String::new())),
            format!("not an integer; expected 0 to {max}")
        );
        assert!(fault(exit_layer("-2").map(|_| String::new())).contains("-1 for the model's"));
        for text in ["0", "100000", "-4"] {
            assert_eq!(threads(text), Err("expected 1 to 256".into()), "{text}");
        }
        assert!(seconds("-1").is_err() && seconds("nan").is_err() && seconds("1e9").is_err());
        assert!(speed("0").is_err() && speed("-1").is_err() && speed("inf").is_ok());
    }
}
