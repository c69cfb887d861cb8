//! Rows of files: JSON lines, JSON, CSV, TSV and Parquet, also in gzip.

use super::parquet;
use crate::engine::{Error, Result};
use crate::error_text;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Max bytes of a file, unpacked.
const MAX_BYTES: u64 = 4 << 30;
/// Max bytes of one line.
const MAX_LINE: u64 = 64 << 20;

pub type Row = Map<String, Value>;

/// Rows, and the columns of the first one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

impl Rows {
    fn of(rows: Vec<Row>) -> Self {
        let columns = rows.first().map(|row| row.keys().cloned().collect());
        Self {
            columns: columns.unwrap_or_default(),
            rows,
        }
    }
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    JsonLines,
    Json,
    Separated(u8),
    Parquet,
}

/// Extensions of files with rows.
pub fn is_rows(name: &str) -> bool {
    format(name).is_some()
}

fn format(name: &str) -> Option<Format> {
    let name = name.to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "jsonl" | "ndjson" => Some(Format::JsonLines),
        "json" => Some(Format::Json),
        "csv" => Some(Format::Separated(b',')),
        "tsv" => Some(Format::Separated(b'\t')),
        "parquet" => Some(Format::Parquet),
        _ => None,
    }
}

/// The first `limit` rows of a file. Reads only the `wanted` columns of a Parquet file.
///
/// # Errors
/// If the file cannot be read, or is not in the format of its extension.
pub fn read(path: &Path, wanted: &[&str], limit: usize) -> Result<Rows> {
    let fault = |words: String| Error::Setting(format!("{}: {words}", path.display()));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(format) = format(&name) else {
        return Err(fault(
            "its name ends in none of .jsonl, .json, .csv, .tsv and .parquet, with or without .gz"
                .into(),
        ));
    };
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    if format == Format::Parquet {
        return parquet::read(file, wanted, limit).map_err(fault);
    }
    let packed = name.to_lowercase().ends_with(".gz");
    let bytes: Box<dyn Read> = match packed {
        true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        false => Box::new(file),
    };
    let text = BufReader::new(bytes.take(MAX_BYTES));
    let rows = match format {
        Format::JsonLines => json_lines(text, limit),
        Format::Json => json(text, limit),
        Format::Separated(separator) => return separated(text, separator, limit).map_err(fault),
        Format::Parquet => Ok(Vec::new()),
    };
    rows.map(Rows::of).map_err(fault)
}

fn json_lines(mut text: impl BufRead, limit: usize) -> Result<Vec<Row>, String> {
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        let read = (&mut text).take(MAX_LINE).read_until(b'\n', &mut line);
        if rows.len() == limit || read.map_err(|error| error_text::io(&error))? == 0 {
            break;
        }
        let content = line
            .strip_prefix(b"\xef\xbb\xbf")
            .filter(|_| number == 1)
            .unwrap_or(&line);
        if content.trim_ascii().is_empty() {
            continue;
        }
        let row = serde_json::from_slice(content);
        rows.push(row.map_err(|error| {
            format!(
                "line {number} is not a JSON object: {}",
                error_text::json(&error)
            )
        })?);
    }
    Ok(rows)
}

/// A list of objects, or JSON lines in a `.json` file.
fn json(mut text: impl BufRead, limit: usize) -> Result<Vec<Row>, String> {
    let mut content = String::new();
    text.read_to_string(&mut content)
        .map_err(|error| error_text::io(&error))?;
    let content = content.trim_start_matches('\u{feff}');
    if content.trim_start().starts_with('[') {
        let mut rows: Vec<Row> = serde_json::from_str(content)
            .map_err(|error| format!("not a list of JSON objects: {}", error_text::json(&error)))?;
        rows.truncate(limit);
        return Ok(rows);
    }
    let values = serde_json::Deserializer::from_str(content).into_iter::<Row>();
    let rows: Result<Vec<Row>, _> = values.take(limit).collect();
    rows.map_err(|error| {
        format!(
            "neither a list of JSON objects nor JSON lines: {}",
            error_text::json(&error)
        )
    })
}

fn separated(text: impl Read, separator: u8, limit: usize) -> Result<Rows, String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        // In tab-separated files a quotation mark is usually literal.
        .quoting(separator == b',')
        .from_reader(text);
    let headers = reader
        .headers()
        .map_err(|error| error_text::csv(&error))?
        .clone();
    let columns: Vec<String> = headers
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_owned())
        .collect();
    let mut rows = Vec::new();
    for record in reader.records().take(limit) {
        let record = record.map_err(|error| error_text::csv(&error))?;
        let fields = record.iter().map(|field| Value::String(field.to_owned()));
        rows.push(columns.iter().cloned().zip(fields).collect());
    }
    Ok(Rows { columns, rows })
}
