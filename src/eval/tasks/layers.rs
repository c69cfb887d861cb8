//! Scores by exit layer: how well the first layers solve a task.

use super::{Row, Scorer, TaskResult};
use crate::engine::Result;
use crate::engine::decode::{Settings, Strategy};
use crate::engine::loaded_model::LoadedModel;
use serde::Serialize;
use std::fmt::{self, Write};

/// Results after `layers` layers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerResult {
    pub exit_layer: usize,
    pub tasks: Vec<TaskResult>,
}

/// Scores the rows after each number of layers in `layers`; the layer count is the whole model. Calls `done` after each
/// row at each layer.
///
/// # Errors
/// As [`Scorer::score`].
pub fn by_layer(
    model: &mut LoadedModel,
    settings: &Settings,
    layers: impl IntoIterator<Item = usize>,
    rows: &[Row],
    done: &mut dyn FnMut(),
) -> Result<Vec<LayerResult>> {
    let whole = model.info.config.num_layers;
    let one = |exit_layer: usize| {
        let settings = Settings {
            strategy: match exit_layer == whole {
                true => Strategy::Autoregressive,
                false => Strategy::EarlyExit,
            },
            exit_layer,
            ..settings.clone()
        };
        if exit_layer != whole {
            settings.validate(&model.info.config)?;
        }
        let tasks = Scorer::new(model, settings)?.score(rows, done)?;
        Ok(LayerResult { exit_layer, tasks })
    };
    layers.into_iter().map(one).collect()
}

/// The results as CSV, one line per figure.
///
/// # Errors
/// Never: writing to a string cannot fail.
pub fn csv(results: &[LayerResult]) -> Result<String, fmt::Error> {
    let mut out = String::from("exit_layer,task,rows,metric,value,stderr\n");
    for LayerResult { exit_layer, tasks } in results {
        for task in tasks {
            for metric in &task.metrics {
                let stderr = metric.stderr.map(|e| e.to_string()).unwrap_or_default();
                let name = metric.name.replace(',', ":");
                writeln!(
                    out,
                    "{exit_layer},{},{},{name},{},{stderr}",
                    task.task, task.rows, metric.value
                )?;
            }
        }
    }
    Ok(out)
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 56.0;
const COLOURS: [&str; 4] = ["#4477aa", "#ee6677", "#228833", "#aa3377"];
/// Dash patterns, so that lines can be told apart without colour.
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

/// The results as a plot, with a panel for each task, one below the other.
///
/// # Errors
/// Never: writing to a string cannot fail.
pub fn svg(results: &[LayerResult]) -> Result<String, fmt::Error> {
    let Some(first) = results.first() else {
        return Ok(String::new());
    };
    let height = HEIGHT * first.tasks.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, task) in first.tasks.iter().enumerate() {
        writeln!(out, "<g transform=\"translate(0 {})\">", HEIGHT * at as f64)?;
        panel(&mut out, results, at, task)?;
        out += "</g>\n";
    }
    out += "</svg>\n";
    Ok(out)
}

/// One task: a line for each figure over the layers. Perplexities have a logarithmic scale.
fn panel(out: &mut String, results: &[LayerResult], at: usize, task: &TaskResult) -> fmt::Result {
    let logarithmic = task.metrics.iter().any(|metric| !metric.higher_is_better);
    let scaled = |value: f64| if logarithmic { value.log10() } else { value };
    let value = |result: &LayerResult, metric: usize| {
        result.tasks.get(at)?.metrics.get(metric).map(|m| m.value)
    };
    let all = (0..task.metrics.len()).flat_map(|m| results.iter().map(move |r| (r, m)));
    let all: Vec<f64> = all
        .filter_map(|(result, metric)| value(result, metric))
        .map(scaled)
        .filter(|value| value.is_finite())
        .collect();
    let (mut low, mut high) = match logarithmic {
        true => (f64::INFINITY, f64::NEG_INFINITY),
        false => (0.0, 1.0),
    };
    for value in all {
        (low, high) = (low.min(value), high.max(value));
    }
    let layers = results.iter().map(|result| result.exit_layer as f64);
    let (left, right) = (
        layers.clone().fold(f64::INFINITY, f64::min),
        layers.fold(f64::NEG_INFINITY, f64::max),
    );
    let x = |layer: f64| MARGIN + (layer - left) / (right - left).max(1.0) * (WIDTH - 3.5 * MARGIN);
    let y = |value: f64| {
        let share = (scaled(value) - low) / (high - low).max(1e-9);
        HEIGHT - MARGIN - share.clamp(0.0, 1.0) * (HEIGHT - 2.0 * MARGIN)
    };
    writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">{} ({} rows)</text>",
        task.task, task.rows
    )?;
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let at = low + share * (high - low);
        let label = if logarithmic { 10f64.powf(at) } else { at };
        let y = y(label);
        writeln!(
            out,
            "<line x1=\"{MARGIN}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label:.3}</text>",
            x(right),
            MARGIN - 6.0,
            y + 4.0
        )?;
    }
    for layer in [left, right] {
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{layer}</text>",
            x(layer),
            HEIGHT - MARGIN + 18.0
        )?;
    }
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">exit layer</text>",
        f64::midpoint(x(left), x(right)),
        HEIGHT - MARGIN + 34.0
    )?;
    for (nth, metric) in task.metrics.iter().enumerate() {
        let style = format!(
            "stroke=\"{}\" stroke-dasharray=\"{}\" fill=\"none\" stroke-width=\"2\"",
            COLOURS[nth % COLOURS.len()],
            DASHES[nth % DASHES.len()]
        );
        let points = results.iter().filter_map(|result| {
            let value = value(result, nth).filter(|value| value.is_finite())?;
            Some(format!(
                "{:.1},{:.1}",
                x(result.exit_layer as f64),
                y(value)
            ))
        });
        let points: Vec<String> = points.collect();
        let (from, at) = (x(right) + 12.0, MARGIN + 20.0 * nth as f64);
        writeln!(
            out,
            "<polyline {style} points=\"{}\"/>\
             <line {style} x1=\"{from:.1}\" x2=\"{:.1}\" y1=\"{at}\" y2=\"{at}\"/>\
             <text x=\"{:.1}\" y=\"{}\" font-size=\"10\">{}</text>",
            points.join(" "),
            from + 22.0,
            from + 26.0,
            at + 4.0,
            metric.name
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Metric;
    use super::*;

    fn results() -> Vec<LayerResult> {
        let metric = |name, value| Metric {
            name,
            value,
            stderr: Some(0.25),
            higher_is_better: true,
        };
        let result = |exit_layer, acc| LayerResult {
            exit_layer,
            tasks: vec![TaskResult::new(
                "generate_until",
                4,
                vec![metric("exact_match,strict-match", acc)],
            )],
        };
        vec![result(2, 0.25), result(3, 0.75)]
    }

    #[test]
    fn every_figure_is_a_line_of_the_csv() {
        assert_eq!(
            csv(&results()).unwrap(),
            "exit_layer,task,rows,metric,value,stderr\n\
             2,generate_until,4,exact_match:strict-match,0.25,0.25\n\
             3,generate_until,4,exact_match:strict-match,0.75,0.25\n"
        );
    }

    #[test]
    fn the_plot_holds_every_point() {
        let plot = svg(&results()).unwrap();
        assert_eq!(plot.matches("<polyline").count(), 1);
        assert!(plot.contains("points=\"56.0,197.0 500.0,103.0\""), "{plot}");
        assert!(!plot.contains("NaN") && !plot.contains("inf"));
    }
}
