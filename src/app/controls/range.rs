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

/// How a slider maps positions to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// Equal distances are equal ratios. The range must be positive.
    Logarithmic,
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
    pub scale: Scale,
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
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.ln(),
        };
        match place(self.max) - place(self.min) {
            span if span > 0.0 => ((place(value) - place(self.min)) / span).clamp(0.0, 1.0),
            _ => 0.0,
        }
    }

    /// The value at `fraction` of the way, on a step.
    pub fn at(self, fraction: f64) -> f64 {
        let fraction = fraction.clamp(0.0, 1.0);
        let raw = match self.scale {
            Scale::Linear => self.min + fraction * (self.max - self.min),
            Scale::Logarithmic => self.min * (self.max / self.min).powf(fraction),
        };
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

    fn range(max: f64, scale: Scale) -> Range {
        Range {
            min: 1.0,
            max,
            step: 1.0,
            coarse: 4.0,
            decimals: 0,
            scale,
        }
    }

    #[test]
    fn a_slider_maps_places_to_values() {
        let range = range(29.0, Scale::Linear);
        assert_eq!(
            (range.at(0.0), range.at(0.5), range.at(1.0)),
            (1.0, 15.0, 29.0)
        );
        assert_eq!(range.snap(99.0), 29.0);
        assert_eq!(range.snap(f64::NAN), 1.0);
    }

    /// On a short track a wide range still gives fine control over its small values, and both ends are reached.
    #[test]
    fn a_logarithmic_slider_reaches_small_values_and_both_ends() {
        let range = range(64.0, Scale::Logarithmic);
        let places: Vec<f64> = (0..11).map(|cell| f64::from(cell) / 10.0).collect();
        let values: Vec<f64> = places.iter().map(|place| range.at(*place)).collect();
        assert_eq!(values[..6], [1.0, 2.0, 2.0, 3.0, 5.0, 8.0]);
        assert_eq!(values.last(), Some(&64.0));
        assert!(values.is_sorted());
        for value in 1..=64 {
            let value = f64::from(value);
            assert_eq!(range.at(range.fraction(value)), value);
        }
    }
}
