//! The tables of a sweep.

use super::benchmark_table;
use crate::eval::sweep::{HeatMap, Merged, Tile};
use crate::safe_text::StyledText;
use crate::transcript::origin_style::Paint;
use std::fmt::{Error, Write};

/// The measured cells, each with its prediction.
pub fn sweep_table(merged: &Merged) -> Result<String, Error> {
    let mut out = String::new();
    writeln!(
        out,
        "\n{:<34}{:>9}{:>9}{:>22}{:>10}{:>11}{:>8}",
        "cell", "accepted", "length", "speed-up", "tokens/s", "predicted", "error"
    )?;
    for row in &merged.rows {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
        };
        let percent = |value: Option<f64>| {
            value.map_or_else(|| "–".into(), |value| format!("{:.1} %", value * 100.0))
        };
        let speedup = row
            .speedup
            .map_or_else(|| "–".into(), |speedup| benchmark_table::number(speedup, 2));
        let predicted = row.prediction.map(|prediction| prediction.speedup);
        let error = row
            .prediction_error
            .map_or_else(|| "–".into(), |error| format!("{:+.0} %", error * 100.0));
        writeln!(
            out,
            "{:<34}{:>9}{:>9}{speedup:>22}{:>10}{:>11}{error:>8}",
            row.cell.name(),
            percent(row.acceptance_rate),
            number(row.mean_accepted_length, 2),
            number(row.decode_tokens_per_second, 1),
            number(predicted, 2),
        )?;
    }
    for baseline in &merged.baselines {
        let speed = baseline
            .tokens_per_second
            .map_or_else(|| "–".into(), |speed| format!("{speed:.1}"));
        writeln!(
            out,
            "{} · autoregressive at T {}: {speed} tokens/s",
            baseline.machine, baseline.temperature
        )?;
    }
    Ok(out)
}

/// The heat maps as text: `▲` and blue for faster than plain decoding, `▽` and orange for slower, brackets around the
/// best.
pub fn heat_maps(maps: &[HeatMap], paint: Paint) -> StyledText {
    let mut out = StyledText::default();
    for map in maps {
        out.push(&format!("\n{}\n{}\n\n", map.title, map.caption()));
        for &k in map.num_speculations.iter().rev() {
            out.push(&format!("K {k:>3} "));
            for &e in &map.exit_layers {
                match map.tile(e, k) {
                    Some(tile) => push_tile(&mut out, tile, paint),
                    None => out.push("    ·    "),
                }
            }
            out.push("\n");
        }
        out.push("    E ");
        map.exit_layers
            .iter()
            .for_each(|e| out.push(&format!("{e:^9}")));
        out.push("\n");
    }
    out
}

fn push_tile(out: &mut StyledText, tile: &Tile, paint: Paint) {
    let faster = tile.speedup >= 1.0;
    let mark = if faster { '▲' } else { '▽' };
    let text = match tile.best {
        true => format!("[{:.2}{mark}]", tile.speedup),
        false => format!(" {:.2}{mark} ", tile.speedup),
    };
    let weight = if tile.best { "1;" } else { "" };
    let sgr = match (paint, faster) {
        (Paint::Colour, true) => {
            format!("{weight}38;5;{}", if tile.speedup >= 1.1 { 33 } else { 75 })
        }
        (Paint::Colour, false) => format!(
            "{weight}38;5;{}",
            if tile.speedup < 0.8 { 166 } else { 215 }
        ),
        (Paint::Lettering, _) if tile.best => "1".into(),
        _ => String::new(),
    };
    out.push(" ");
    out.push_styled(&sgr, &format!("{text:<8}"));
}
