//! Parquet files, row by row.

use super::rows::{Row, Rows};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;
use ::parquet::schema::types::{Type, TypePtr};
use serde_json::Value;
use std::fs::File;
use std::sync::Arc;

/// The `wanted` columns of the first `limit` rows.
pub fn read(file: File, wanted: &[&str], limit: usize) -> Result<Rows, String> {
    let fault =
        |error: ::parquet::errors::ParquetError| format!("not a readable Parquet file: {error}");
    let reader = SerializedFileReader::new(file).map_err(fault)?;
    let schema = reader.metadata().file_metadata().schema();
    let fields: Vec<TypePtr> = match schema {
        Type::GroupType { fields, .. } => fields.clone(),
        Type::PrimitiveType { .. } => Vec::new(),
    };
    let columns = fields.iter().map(|field| field.name().to_owned()).collect();
    let kept: Vec<TypePtr> = fields
        .into_iter()
        .filter(|field| wanted.contains(&field.name()))
        .collect();
    if kept.is_empty() {
        return Ok(Rows {
            columns,
            rows: Vec::new(),
        });
    }
    let projection = Type::group_type_builder(schema.name())
        .with_fields(kept.iter().map(Arc::clone).collect())
        .build()
        .map_err(fault)?;
    let mut rows = Vec::new();
    for row in reader
        .get_row_iter(Some(projection))
        .map_err(fault)?
        .take(limit)
    {
        let columns = row.map_err(fault)?.into_columns();
        let row: Row = columns
            .into_iter()
            .map(|(name, field)| (name, value(&field)))
            .collect();
        rows.push(row);
    }
    Ok(Rows { columns, rows })
}

/// A field as JSON: texts, numbers and lists of them; other types in their printed form.
fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into(),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::Group(row) => {
            let columns = row.get_column_iter();
            Value::Object(
                columns
                    .map(|(name, field)| (name.clone(), value(field)))
                    .collect(),
            )
        }
        other => other.to_string().into(),
    }
}
