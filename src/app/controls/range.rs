//! Kinds of controls and the values they take.

/// The kind of a control and the values it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Slider(Range),
    /// A number whose range is too wide to draw.
    Number(Range),
    Toggle,
    Choice(&'static [&'static str]),
    Text,
}

/// The values of a slider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub min: f64,
    pub max: f64,
    /// Step of the arrow keys.
    pub step: f64,
    /// Step of the shifted arrow keys.
    pub coarse: f64,
    pub decimals: usize,
}

impl Range {
    /// The nearest value of the range, rounded to its number of decimals.
    pub fn snap(self, value: f64) -> f64 {
        let unit = 10f64.powi(self.decimals as i32);
        let value = if value.is_finite() { value } else { self.min };
        ((value * unit).round() / unit).clamp(self.min, self.max)
    }

    /// The position of `value` between the ends, 0 to 1.
    pub fn fraction(self, value: f64) -> f64 {
        match self.max - self.min {
            span if span > 0.0 => ((value - self.min) / span).clamp(0.0, 1.0),
            _ => 0.0,
        }
    }

    /// The value at `fraction` of the way, on a step.
    pub fn at(self, fraction: f64) -> f64 {
        let raw = self.min + fraction.clamp(0.0, 1.0) * (self.max - self.min);
        self.snap(if fraction >= 1.0 {
            raw
        } else {
            (raw / self.step).round() * self.step
        })
    }
}

impl Kind {
    /// Brings `value` into the range.
    pub fn snap(self, value: f64) -> f64 {
        match self {
            Self::Slider(range) | Self::Number(range) => range.snap(value),
            Self::Toggle => f64::from(u8::from(value > 0.5)),
            Self::Choice(names) => value.round().clamp(0.0, names.len() as f64 - 1.0),
            Self::Text => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slider_maps_places_to_values() {
        let range = Range {
            min: 1.0,
            max: 29.0,
            step: 1.0,
            coarse: 4.0,
            decimals: 0,
        };
        assert_eq!(
            (range.at(0.0), range.at(0.5), range.at(1.0)),
            (1.0, 15.0, 29.0)
        );
        assert_eq!(range.snap(99.0), 29.0);
        assert_eq!(range.snap(f64::NAN), 1.0);
    }
}
