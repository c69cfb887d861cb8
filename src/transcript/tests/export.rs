use super::*;
use crate::safe_text::is_unsafe;
use crate::transcript::export::{Format, ansi, html, markdown, rounds_csv, svg, tokens_csv};
use crate::transcript::origin_style::Paint;
use std::sync::Arc;

fn saved(document: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.json");
    std::fs::write(&path, document).unwrap();
    (folder, path)
}

/// Parses a CSV table into rows of cells, by RFC 4180.
fn cells(table: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = table.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {
                chars.next();
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    assert!(cell.is_empty() && row.is_empty() && !quoted);
    rows
}

/// The tags of a page, without their attributes.
fn tags(page: &str) -> std::collections::BTreeSet<String> {
    let starts = page.match_indices('<').map(|(at, _)| &page[at + 1..]);
    starts
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '!'))
                .collect()
        })
        .collect()
}

const HTML_TAGS: &str = "!doctype html /html head /head body /body meta title /title style /style header /header a /a h1 \
    /h1 h2 /h2 h3 /h3 ul /ul li /li div /div span /span label /label input del /del main /main article /article p /p i \
    /i details /details summary /summary table /table thead /thead tbody /tbody tr /tr th /th td /td small /small \
    section /section dl /dl dt /dt dd /dd footer /footer svg /svg path line text /text";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_json_export_imports_as_the_same_session(session in any_session()) {
        let (_folder, path) = saved(&Format::Json.export(&session));
        let (imported, notes) = import(&path).unwrap();
        prop_assert!(notes.is_empty(), "{notes:?}");
        prop_assert_eq!(imported.stats(), session.stats());
        // What is not said or not shown is left out.
        let mut shown = Session { queued: Vec::new(), ..session };
        for turn in &mut shown.turns {
            (turn.others, turn.variant) = (Vec::new(), 0);
        }
        prop_assert_eq!(imported, shown);
    }

    /// Exports of any text contain no unsafe characters, except line breaks, tabs and, in ANSI, the program's own SGR
    /// sequences.
    #[test]
    fn exports_contain_no_unsafe_characters(session in any_session()) {
        for format in Format::ALL {
            let out = format.export(&session);
            let spared = |c: char| c == '\n' || c == '\t' || (c == '\r' && matches!(format, Format::TokensCsv | Format::RoundsCsv));
            let acting = |text: &str| text.chars().find(|c| is_unsafe(*c) && !spared(*c));
            let bare = match format {
                Format::Ansi => strip_sgr(&out),
                _ => out,
            };
            prop_assert_eq!(acting(&bare), None, "{:?}", format);
        }
    }

    /// The statistics on the page equal the counts of its elements.
    #[test]
    fn page_statistics_match_the_page(session in any_session()) {
        let (page, stats) = (html(&session), session.stats());
        let count = |tag: &str| page.matches(tag).count();
        for (name, value) in [("tokens", stats.tokens), ("drafted", stats.drafted), ("accepted", stats.accepted)] {
            let told = format!("<dt>{name}</dt><dd>{value}</dd>");
            prop_assert!(page.contains(&told), "{}", told);
        }
        prop_assert_eq!(count("<del class=\"t rejected\" tabindex"), stats.drafted - stats.accepted);
        prop_assert_eq!(count("<span class=\"round\">"), stats.rounds);
        prop_assert_eq!(count("<span class=\"t "), 4 + session.runs().flat_map(Run::shown).filter(|(_, token)| !token.text.is_empty()).count());
    }

    #[test]
    fn pages_contain_only_known_tags(session in any_session()) {
        let known: Vec<&str> = HTML_TAGS.split_whitespace().collect();
        for tag in tags(&html(&session)) {
            prop_assert!(known.contains(&tag.as_str()), "{tag:?}");
        }
        for tag in tags(&svg(&session)) {
            prop_assert!(["svg", "/svg", "title", "/title", "style", "/style", "rect", "path", "text", "/text"].contains(&tag.as_str()), "{tag:?}");
        }
    }

    #[test]
    fn tables_have_one_row_per_round_and_token(session in any_session()) {
        let rounds = cells(&rounds_csv(&session));
        prop_assert_eq!(rounds.len(), 1 + session.rounds().count());
        let tokens = cells(&tokens_csv(&session));
        let stats = session.stats();
        let sum = |name: &str| {
            let column = rounds[0].iter().position(|cell| cell == name).unwrap();
            rounds[1..].iter().map(|row| row[column].parse::<usize>().unwrap()).sum::<usize>()
        };
        let counted = ["tokens", "drafted", "accepted", "rejected"].map(sum);
        prop_assert_eq!(counted, [stats.tokens, stats.drafted, stats.accepted, stats.drafted - stats.accepted]);
        prop_assert_eq!(tokens.len(), 1 + stats.tokens + stats.drafted - stats.accepted);
        prop_assert!(rounds.iter().chain(&tokens).all(|row| row.len() == rounds[0].len() || row.len() == tokens[0].len()));
        prop_assert!(rounds.iter().chain(&tokens).flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
        let kept = tokens[1..].iter().filter(|row| row[4] != "rejected");
        let texts: Vec<String> = kept.map(|row| serde_json::from_str(&row[7]).unwrap()).collect();
        let expected: Vec<&str> = session.runs().flat_map(|run| run.kept()).map(|(_, token)| token.text).collect();
        prop_assert_eq!(texts, expected);
    }

    #[test]
    fn settings_in_a_table_match_the_journal_format(session in any_session()) {
        let rounds = cells(&rounds_csv(&session));
        let at = |name: &str| rounds[0].iter().position(|cell| cell == name).unwrap();
        for (row, round) in rounds[1..].iter().zip(session.rounds()) {
            let settings = serde_json::to_value(&*round.settings).unwrap();
            for column in at("strategy")..=at("coupling") {
                let name = rounds[0][column].as_str();
                let text = match settings.get(name).or_else(|| settings["sampling"].get(name)) {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                    None => format!("{name} is not a setting"),
                };
                // Numbers may differ in spelling.
                let plain = |text: &str| text.parse::<f32>().map_or_else(|_| text.to_owned(), |number| number.to_string());
                prop_assert_eq!(plain(&row[column]), plain(&text), "{}", name);
            }
        }
    }
}

/// Removes SGR sequences: `ESC [`, digits and semicolons, `m`.
fn strip_sgr(out: &str) -> String {
    let mut pieces = out.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let end = piece.find('m').expect("the sequence ends");
        assert!(piece[..end].chars().all(|c| c.is_ascii_digit() || c == ';'));
        text + &piece[end + 1..]
    })
}

#[test]
fn the_page_shows_numbers_and_forbids_scripts() {
    let page = html(&sample());
    assert!(page.contains("default-src 'none'"));
    assert!(
        page.contains("“ sky” · id 12 · accepted · round 0 · draft position 2 · drafted by early exit · p(draft) 1.0000 · p(verify) 0.5000")
    );
    assert!(page.contains("&lt;blue&gt;") && !page.contains("<blue>"));
    assert!(page.contains("<dt>acceptance rate</dt><dd>50.0 %</dd>"));
    assert!(!page.contains("://"), "nothing is loaded from elsewhere");
}

/// Bold and italics are attributes of the text elements, and a `font` property in the style would override them.
#[test]
fn picture_styles_do_not_override_bold_and_italics() {
    let picture = svg(&sample());
    assert!(picture.contains(" font-weight=\"bold\"") && picture.contains("font-size:14px"));
    let style = picture
        .split("<style>")
        .nth(1)
        .and_then(|rest| rest.split("</style>").next())
        .unwrap();
    assert!(
        !style.contains("font:") && !style.contains("font-weight") && !style.contains("font-style"),
        "{style}"
    );
}

#[test]
fn readable_formats_contain_all_messages() {
    for format in [Format::Markdown, Format::Html, Format::Ansi, Format::Svg] {
        let out = format.export(&sample());
        // Pictures wrap long lines, so their words are compared.
        let out = match format {
            Format::Svg => {
                let between = out.split(['<', '>']).step_by(2);
                let words: Vec<&str> = between.flat_map(str::split_whitespace).collect();
                words.join(" ")
            }
            _ => out,
        };
        for said in [
            "System prompt",
            "Be brief.",
            "Which colour is the sky?",
            "ended by the model",
        ] {
            assert!(out.contains(said), "{format:?} lacks {said}");
        }
    }
}

#[test]
fn a_fence_is_longer_than_any_in_the_text() {
    let mut session = sample();
    session.turns[0].text = "a\n````\n# b".into();
    let document = markdown(&session);
    assert!(document.contains("`````text\na\n````\n# b\n`````\n"));
}

#[test]
fn styles_differ_without_colour() {
    let out = ansi(&sample(), Paint::Lettering, false, Zone::Utc).to_string();
    for styled in [
        "\x1b[7mThe\x1b[0m",
        "\x1b[3m is\x1b[0m",
        "\x1b[4m <blue>\x1b[0m",
    ] {
        assert!(out.contains(styled), "{styled:?}\n{out:?}");
    }
    assert!(!out.contains("42m") && !out.contains("36m") && !out.contains("33m"));
}

/// Every format gives accepted tokens a background, and nothing else.
#[test]
fn only_accepted_tokens_are_filled() {
    let session = sample();
    let accepted = session
        .rounds()
        .flat_map(Round::kept)
        .filter(|token| token.origin == Origin::Accepted && !token.text.is_empty())
        .count();
    let out = ansi(&session, Paint::Colour, true, Zone::Utc).to_string();
    // The legend shows each style once more.
    assert_eq!(out.matches("\x1b[30;42m").count(), accepted + 1);
    let page = html(&session);
    let rules: Vec<&str> = page
        .lines()
        .filter(|line| line.contains("background: var(--accepted-ground)"))
        .collect();
    assert!(
        rules.len() == 1 && rules[0].starts_with(".accepted {"),
        "{rules:?}"
    );
    let ground = "#1d5a48";
    assert!(svg(&session).contains(ground));
}

/// The page of a session with a lens holds its map.
#[test]
fn the_page_has_a_map_of_the_lens() {
    let mut session = sample();
    assert!(!html(&session).contains("<svg"));
    let run = &mut session.turns[1].runs[0];
    let choice = crate::engine::decode::LayerChoice {
        layer: 1,
        id: 7,
        text: "The".into(),
        p: 0.5,
    };
    let row = crate::engine::decode::LensRow {
        position: 1,
        id: 7,
        layers: vec![choice],
    };
    run.lens.get_or_insert_default().rows.push(row);
    let page = html(&session);
    assert!(page.contains("<summary>Layers (1)</summary>") && page.contains("class=\"agrees\""));
}

#[test]
fn formats_are_recognised_by_extension() {
    for format in Format::ALL {
        let name = format!("a.{}", format.extension());
        assert_eq!(Format::of_path(std::path::Path::new(&name)), Some(format));
    }
    assert_eq!(Format::of_path(std::path::Path::new("x.txt")), None);
}

/// The output of `skiplens generate --json` for a single run.
#[test]
fn the_output_of_generate_is_imported() {
    let session = sample();
    let rounds: Vec<&Round> = session.rounds().collect();
    let text = session.turns[1].content();
    let tokens = serde_json::json!([{"id": 1, "text": "x", "origin": "plain", "round": 0, "p_draft": null, "p_verify": 1.0}]);
    let document = serde_json::json!({
        "model": {"name": "SmolLM2", "path": "/m.gguf", "config": {"num_layers": 30}, "dtype": "q8_0", "device": "cpu"},
        "prompt": {"Text": "Which?"}, "text": text, "tokens": tokens, "rounds": rounds, "stop": "max-steps",
        "stats": {"tokens": 5, "prefill_tokens": 9, "prefill_seconds": 0.5, "acceptance_rate": 0.5},
    });
    let (_folder, path) = saved(&document.to_string());
    let (imported, notes) = import(&path).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(imported.stats(), session.stats());
    assert_eq!(imported.turns[0].text, "Which?");
    assert_eq!(imported.turns[1].content(), text);
    let model = imported.model().unwrap();
    assert_eq!(
        (model.name.as_str(), model.dtype.as_str(), model.num_layers),
        ("SmolLM2", "q8_0", 30)
    );
    assert_eq!(
        imported.turns[1].runs[0].stop(),
        Some(&StopReason::MaxSteps)
    );
    assert_eq!(
        imported.prompt_of(1, 0),
        Some(Prompt::Text("Which?".into()))
    );
}

#[test]
fn invalid_imports_are_rejected_and_contradictions_reported() {
    let session = sample();
    let document: serde_json::Value = serde_json::from_str(&Format::Json.export(&session)).unwrap();
    let import_of = |change: fn(&mut serde_json::Value)| {
        let mut document = document.clone();
        change(&mut document);
        let (_folder, path) = saved(&document.to_string());
        import(&path)
    };
    assert!(import_of(|d| d["rounds"][0]["accepted"] = 7.into()).is_err());
    assert!(import_of(|d| d["rounds"][0]["drafted"][0]["p_draft"] = (-1).into()).is_err());
    assert!(import_of(|d| d["session"]["round_counts"] = serde_json::json!([2])).is_err());
    assert!(
        import_of(|d| d["session"]["round_counts"] = serde_json::json!([u64::MAX, 4])).is_err()
    );
    assert!(import_of(|d| *d = serde_json::json!([])).is_err());
    assert_eq!(
        import_of(|d| d["text"] = "other".into()).unwrap().1.len(),
        1
    );
    assert_eq!(
        import_of(|d| d["stats"]["accepted"] = 99.into())
            .unwrap()
            .1
            .len(),
        1
    );
    let mended = import_of(|d| d["session"]["turns"][1]["runs"][0]["model"] = 77.into())
        .unwrap()
        .0;
    assert_eq!(mended.turns[1].runs[0].model, None);
}

/// Exports name all settings of an answer and every model that generated it.
#[test]
fn all_settings_and_models_of_an_answer_are_named() {
    let mut session = sample();
    let run = &session.turns[1].runs[0];
    let round = run.rounds[0].clone();
    let with = |exit_layer, num_speculations, strategy| {
        let mut round = round.clone();
        round.settings = Arc::new(Settings {
            exit_layer,
            num_speculations,
            strategy,
            sampling: Sampling {
                sample: false,
                ..Sampling::default()
            },
            ..Settings::default()
        });
        round
    };
    let speculative = Decoding::SelfSpeculative;
    let rounds = vec![
        with(8, 4, speculative),
        with(6, 4, speculative),
        with(7, 1, speculative),
        with(12, 5, speculative),
        with(12, 5, Decoding::Autoregressive),
        with(3, 2, speculative),
    ];
    let other = ModelRecord {
        name: "Other".into(),
        ..ModelRecord::default()
    };
    session.models.push(other);
    let more = Run {
        run: RunId(9),
        model: Some(session.models.len() - 1),
        ..run.clone()
    };
    session.turns[1].runs[0].rounds = rounds;
    session.turns[1].runs.push(more);
    let document = markdown(&session);
    assert!(
        document.contains("self-speculative E=6–8, 12 K=1, 4, 5, greedy; then autoregressive, greedy; then self-speculative E=3 K=2, greedy"),
        "{document}"
    );
    for format in [Format::Markdown, Format::Html, Format::Ansi, Format::Svg] {
        let out = format.export(&session);
        assert!(out.matches("Other").count() >= 2, "{format:?}: {out}");
    }
}
