use super::*;
use ::parquet::data_type::ByteArrayType;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use ::parquet::{basic::Compression, basic::GzipLevel, basic::ZstdLevel};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn request(name: &str, path: &Path) -> DatasetRequest {
    DatasetRequest {
        name: name.parse().unwrap(),
        path: Some(path.to_owned()),
        num_samples: None,
        n_shot: 0,
        template: None,
        shuffle: false,
        seed: 42,
        chat: None,
    }
}

fn load(request: &DatasetRequest) -> Result<Vec<Example>> {
    Ok(request.read(&mut |_, _| ())?.prompts(true)?.examples)
}

fn fault(request: &DatasetRequest) -> String {
    load(request).unwrap_err().to_string()
}

fn text(example: &Example) -> &str {
    match &example.prompt {
        Prompt::Text(text) => text,
        Prompt::Chat(turns) => &turns.last().unwrap().content,
        Prompt::Tokens(_) => "",
    }
}

fn write_parquet(path: &Path, columns: &[&str], rows: &[[&str; 2]], compression: Compression) {
    let fields: String = columns
        .iter()
        .map(|name| format!("REQUIRED BYTE_ARRAY {name} (UTF8);"))
        .collect();
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {fields} }}")).unwrap());
    let properties = WriterProperties::builder().set_compression(compression);
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in 0..columns.len() {
        let values: Vec<_> = rows.iter().map(|row| row[column % 2].into()).collect();
        let mut into = group.next_column().unwrap().unwrap();
        into.typed::<ByteArrayType>()
            .write_batch(&values, None, None)
            .unwrap();
        into.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// The same rows in every format are the same examples.
#[test]
fn every_format_gives_the_same_examples() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [["Say \"hi\", please", "hi"], ["Zwölf?", "12"]];
    let json: Vec<String> = rows
        .iter()
        .map(|[question, answer]| {
            serde_json::json!({ "question": question, "answer": answer }).to_string()
        })
        .collect();
    let files = [
        ("a.jsonl", json.join("\n")),
        (
            "b.jsonl",
            format!("\u{feff}{}\r\n\n{}\n\n", json[0], json[1]),
        ),
        ("c.json", format!("[{}]", json.join(","))),
        ("d.json", json.join(" ")),
        (
            "e.csv",
            "question,answer\r\n\"Say \"\"hi\"\", please\",hi\r\nZwölf?,12\r\n".into(),
        ),
        (
            "f.tsv",
            "answer\tquestion\nhi\tSay \"hi\", please\n12\tZwölf?\n".into(),
        ),
    ];
    let mut paths = Vec::new();
    for (name, content) in &files {
        let plain = folder.path().join(name);
        std::fs::write(&plain, content).unwrap();
        let packed = folder.path().join(format!("{name}.gz"));
        let mut encoder = GzEncoder::new(std::fs::File::create(&packed).unwrap(), Level::fast());
        encoder.write_all(content.as_bytes()).unwrap();
        encoder.finish().unwrap();
        paths.extend([plain, packed]);
    }
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ];
    for (nth, codec) in codecs.into_iter().enumerate() {
        let path = folder.path().join(format!("{nth}.parquet"));
        write_parquet(&path, &["question", "answer", "other"], &rows, codec);
        paths.push(path);
    }
    let first = load(&request("gsm8k", &paths[0])).unwrap();
    assert_eq!(first.len(), 2);
    assert_eq!(text(&first[0]), rows[0][0]);
    assert_eq!(first[1].reference.as_deref(), Some("12"));
    for path in &paths {
        assert_eq!(
            load(&request("gsm8k", path)).unwrap(),
            first,
            "{}",
            path.display()
        );
        let one = DatasetRequest {
            num_samples: Some(1),
            ..request("gsm8k", path)
        };
        assert_eq!(load(&one).unwrap(), first[..1], "{}", path.display());
    }
}

#[test]
fn prompts_are_those_of_layerskip() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let words: Vec<String> = (0..120).map(|n| n.to_string()).collect();
    let news = serde_json::json!({ "article": words.join("  "), "highlights": "All\nnumbers", "id": "x1" });
    let path = at("news.jsonl", &news.to_string());
    let one = load(&request("cnn_dm_summarization", &path)).unwrap();
    assert_eq!(
        text(&one[0]),
        format!("Article: {}\nSummary:", words.join("  "))
    );
    assert_eq!(
        (one[0].reference.as_deref(), one[0].id.as_str()),
        (Some(" All\nnumbers"), "x1")
    );
    let one = load(&request("cnn_dm_lm", &path)).unwrap();
    assert_eq!(text(&one[0]), words[..100].join(" "));
    assert_eq!(one[0].reference, Some(words[100..].join(" ")));
    let path = at(
        "top.tsv",
        "domain\tutterance\tsemantic_parse\ntimer\tstop it\t[IN:STOP it ]\n",
    );
    let one = load(&request("top_v2", &path)).unwrap();
    assert_eq!(
        (text(&one[0]), one[0].category.as_deref()),
        ("stop it", Some("timer"))
    );
    let chat = r#"{"data":[{"role":"USER","message":"a"},{"role":"PARSER","message":"b"},{"role":"USER","message":"c"},{"role":"PARSER","message":"d"}]}"#;
    let wanted = request("chat_format", &at("chat.jsonl", chat));
    let plain = load(&wanted).unwrap();
    assert_eq!(text(&plain[0]), "\n[USER]\na\n[/USER]\n[PARSER]\n");
    assert_eq!(plain[1].reference.as_deref(), Some("d"));
    let turns = load(&DatasetRequest {
        chat: Some(true),
        ..wanted
    })
    .unwrap();
    let Prompt::Chat(turns) = &turns[1].prompt else {
        panic!("no chat")
    };
    let roles: Vec<Role> = turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    let custom = at(
        "own.jsonl",
        "{\"prompt\":\"p\",\"response\":\"r\"}\n{\"prompt\":\"q\"}",
    );
    let templated = DatasetRequest {
        template: Some("<{message}>".into()),
        ..request("custom_jsonl", &custom)
    };
    let both = load(&templated).unwrap();
    assert_eq!(
        (text(&both[0]), both[0].reference.as_deref()),
        ("<p>", Some("r"))
    );
    assert_eq!(
        (text(&both[1]), both[1].reference.as_deref()),
        ("<q>", None)
    );
    let bench = at(
        "spec.jsonl",
        r#"{"question_id":7,"category":"qa","turns":["one","two"]}"#,
    );
    let one = load(&request("spec_bench", &bench)).unwrap();
    assert_eq!(
        (
            text(&one[0]),
            one[0].id.as_str(),
            one[0].category.as_deref()
        ),
        ("one", "7", Some("qa"))
    );
}

#[test]
fn examples_come_from_the_train_split() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[(&str, &str)]| {
        let lines: String = rows
            .iter()
            .map(|(document, summary)| {
                serde_json::json!({ "document": document, "summary": summary }).to_string() + "\n"
            })
            .collect();
        std::fs::write(folder.path().join(name), lines).unwrap();
    };
    write("test-00000-of-00001.jsonl", &[("D", "S")]);
    let wanted = DatasetRequest {
        n_shot: 2,
        ..request("xsum_summarization", folder.path())
    };
    assert!(
        fault(&wanted).contains("there is no train split"),
        "{}",
        fault(&wanted)
    );
    write("train.jsonl", &[("d1", "s\n1"), ("d2", "s\n2")]);
    let one = load(&wanted).unwrap();
    let text = text(&one[0]);
    assert!(text.ends_with("\n\nArticle: D\nSummary:"), "{text}");
    assert!(
        text.contains("Article: d1\nSummary: s1\n") && text.contains("Article: d2\nSummary: s2\n"),
        "{text}"
    );
    let turns = load(&DatasetRequest {
        chat: Some(true),
        ..wanted.clone()
    })
    .unwrap();
    assert!(matches!(&turns[0].prompt, Prompt::Chat(turns) if turns.len() == 5));
    assert!(
        fault(&DatasetRequest {
            n_shot: 3,
            ..wanted.clone()
        })
        .contains("only 2 examples")
    );
    let file = DatasetRequest {
        path: Some(folder.path().join("train.jsonl")),
        ..wanted
    };
    assert!(fault(&file).contains("make --data-path a folder"));
}

#[test]
fn a_seed_decides_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.jsonl");
    let lines: Vec<String> = (0..50).map(|n| format!("{{\"prompt\":\"{n}\"}}")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let order = |seed: u64, num_samples: Option<usize>| {
        let request = DatasetRequest {
            shuffle: true,
            seed,
            num_samples,
            ..request("custom_jsonl", &path)
        };
        load(&request)
            .unwrap()
            .iter()
            .map(|example| text(example).to_owned())
            .collect::<Vec<_>>()
    };
    let all = order(1, None);
    assert_eq!(order(1, Some(7)), all[..7]);
    assert_ne!(all, order(2, None));
    let mut sorted = all;
    sorted.sort_by_key(|text| text.parse::<usize>().unwrap());
    assert_eq!(sorted, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let rows = at("rows.jsonl", b"{\"prompt\":\"a\",\"answer\":1}\n");
    let told = fault(&request("gsm8k", &rows));
    assert!(
        told.contains("gsm8k needs the columns question, answer; this file has prompt, answer"),
        "{told}"
    );
    let parquet = folder.path().join("rows.parquet");
    write_parquet(
        &parquet,
        &["prompt", "text"],
        &[["a", "b"]],
        Compression::SNAPPY,
    );
    let told = fault(&request("gsm8k", &parquet));
    assert!(told.contains("this file has prompt, text"), "{told}");
    for (name, content, words) in [
        ("a.txt", &b"x"[..], "ends in none of"),
        (
            "a.parquet",
            b"PAR1 nothing PAR1",
            "not a readable Parquet file",
        ),
        ("a.jsonl.gz", b"not packed", "gzip"),
        (
            "b.jsonl",
            b"{\"prompt\":\"x\"}\n{oops\n",
            "line 2 is not a JSON object",
        ),
        ("c.jsonl", b"", "has no examples"),
        (
            "d.jsonl",
            b"{\"prompt\":\"x\"}\n{\"prompt\":5}\n",
            "row 2: prompt is not a string",
        ),
        (
            "e.jsonl",
            b"{\"prompt\":\"x\"}\n{}\n",
            "row 2: prompt is missing",
        ),
        ("f.json", b"[1, 2]", "not a list of JSON objects"),
        ("g.csv", b"prompt,response\nx\n", "g.csv"),
        ("h.csv", b"prompt\n\xff\n", "UTF-8"),
    ] {
        let told = fault(&request("custom_jsonl", &at(name, content)));
        assert!(told.contains(words), "{name}: {told}");
        assert!(told.contains(name), "{name}: {told}");
    }
    let own = request("custom_jsonl", &at("own.jsonl", b"{\"prompt\":\"x\"}"));
    let told = fault(&DatasetRequest {
        num_samples: Some(0),
        ..own.clone()
    });
    assert!(told.contains("--num-samples is 0"), "{told}");
    let told = fault(&DatasetRequest {
        template: Some("no place".into()),
        ..own.clone()
    });
    assert!(told.contains("{message}"), "{told}");
    let told = fault(&DatasetRequest {
        n_shot: 1,
        ..own.clone()
    });
    assert!(told.contains("no train split"), "{told}");
    let chat = DatasetRequest {
        chat: Some(true),
        ..own.clone()
    };
    assert!(chat.read(&mut |_, _| ()).unwrap().prompts(false).is_err());
    let told = fault(&DatasetRequest { path: None, ..own });
    assert!(told.contains("give --data-path"), "{told}");
    assert!(
        "cnn"
            .parse::<DatasetName>()
            .unwrap_err()
            .contains("cnn_dm_summarization")
    );
}

#[test]
fn splits_are_found_by_name() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let all = names(&[
        "data/test-00000-of-00002.parquet",
        "data/test-00001-of-00002.parquet",
        "data/train.parquet",
        "README.md",
    ]);
    assert_eq!(files::of_split(&all, "test"), [&all[0], &all[1]]);
    assert_eq!(files::of_split(&all, "train"), [&all[2]]);
    let all = names(&[
        "default/test/0000.parquet",
        "default/testing/0000.parquet",
        "test.csv",
    ]);
    assert_eq!(files::of_split(&all, "test"), [&all[0]], "one format only");
    assert!(files::of_split(&names(&["latest.jsonl", "test.txt"]), "test").is_empty());
}
