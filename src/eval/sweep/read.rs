//! Reads the measured cells of a sweep's CSV, skiplens' or LayerSkip's, or of a run folder.

use super::manifest::MANIFEST;
use super::{RunFolder, csv, merge};
use crate::engine::{Error, Result};
use crate::error_text;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// The measurements of a pair of exit layer and speculations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// E.
    pub exit_layer: usize,
    /// K.
    pub num_speculations: usize,
    /// Decode speed; with prefill if the file has no other.
    pub tokens_per_second: f64,
    /// Accepted ÷ drafted.
    pub acceptance_rate: Option<f64>,
}

/// The measured cells, and the speed of plain decoding if known. Of several cells with one pair, takes the fastest.
///
/// # Errors
/// If the path is neither a run folder nor a CSV file with the columns of a sweep.
pub fn read_rows(path: &Path) -> Result<(Vec<Row>, Option<f64>)> {
    let manifest = path.file_name().is_some_and(|name| name == MANIFEST);
    let text = if path.is_dir() || manifest {
        csv(&merge(&RunFolder::read(path)?)?.rows)
    } else {
        fs::read_to_string(path).map_err(|error| Error::io(path, error))?
    };
    parse(&text).map_err(|fault| Error::Setting(format!("{}: {fault}", path.display())))
}

fn parse(text: &str) -> std::result::Result<(Vec<Row>, Option<f64>), String> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let headers = reader
        .headers()
        .map_err(|error| error_text::csv(&error))?
        .clone();
    let column: HashMap<&str, usize> = headers
        .iter()
        .enumerate()
        .map(|(at, name)| (name.trim(), at))
        .collect();
    for wanted in ["exit_layer", "num_speculations", "tokens_per_second"] {
        if !column.contains_key(wanted) {
            let found: Vec<&str> = headers.iter().collect();
            return Err(format!(
                "no column `{wanted}`; the columns are {}",
                found.join(", ")
            ));
        }
    }
    let (mut rows, mut plain) = (BTreeMap::new(), None);
    for record in reader.records() {
        let record = record.map_err(|error| error_text::csv(&error))?;
        let number = |name: &str| -> Option<f64> {
            let value: f64 = record.get(*column.get(name)?)?.trim().parse().ok()?;
            value.is_finite().then_some(value)
        };
        let decode = number("decode_tokens_per_second");
        let (Some(exit_layer), Some(num_speculations), Some(tokens_per_second)) = (
            number("exit_layer"),
            number("num_speculations"),
            decode.or_else(|| number("tokens_per_second")),
        ) else {
            continue;
        };
        let row = Row {
            exit_layer: exit_layer as usize,
            num_speculations: num_speculations as usize,
            tokens_per_second,
            acceptance_rate: number("pooled_acceptance_rate").or_else(|| number("acceptance_rate")),
        };
        if let (Some(decode), Some(ratio)) = (decode, number("speedup_ratio_of_speeds")) {
            plain = Some(decode / ratio).filter(|plain: &f64| plain.is_finite());
        }
        let best = rows
            .entry((row.exit_layer, row.num_speculations))
            .or_insert(row);
        if row.tokens_per_second > best.tokens_per_second {
            *best = row;
        }
    }
    Ok((rows.into_values().collect(), plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layerskips_columns_are_enough() {
        let text = "exit_layer,num_speculations,acceptance_rate,total_time,time_per_token,tokens_per_second\n\
                    4,2,0.5,1.0,0.01,100\n4,3,0.4,1.0,0.02,50\n";
        let (rows, plain) = parse(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].tokens_per_second, rows[0].acceptance_rate),
            (100.0, Some(0.5))
        );
        assert_eq!(plain, None);
    }

    #[test]
    fn the_fastest_of_a_pair_counts_and_plain_is_derived() {
        let text = "exit_layer,num_speculations,tokens_per_second,decode_tokens_per_second,speedup_ratio_of_speeds\n\
                    4,2,90,100,1.25\n4,2,95,120,1.5\n5,x,1,1,1\n";
        let (rows, plain) = parse(text).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].tokens_per_second, 120.0);
        assert_eq!(plain, Some(80.0));
    }

    #[test]
    fn other_tables_are_refused_with_their_columns() {
        let fault = parse("a,b\n1,2\n").unwrap_err();
        assert!(
            fault.contains("`exit_layer`") && fault.contains("a, b"),
            "{fault}"
        );
    }
}
