//! Random `tokenizer.json` files: valid ones, which must encode as in the library, and hostile ones.

use serde_json::{Map, Value, json};

/// Pseudo-random choices, determined by the seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True with probability 1 / `n`.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn coin(&mut self) -> bool {
        self.once_in(2)
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// Characters of texts, tokens and rules.
const LETTERS: [&str; 12] = ["a", "b", "c", " ", "▁", "é", "1", ".", "\n", "中", "Ġ", "A"];

/// A text of these characters and of the names of added tokens.
pub fn text(dice: &mut Dice, names: &[String]) -> String {
    let parts = dice.below(14);
    (0..parts)
        .map(|_| match names.is_empty() || dice.below(3) > 0 {
            true => dice.pick(&LETTERS).to_owned(),
            false => dice.pick(names),
        })
        .collect()
}

/// The contents of the added tokens of a file.
pub fn added_names(json: &Value) -> Vec<String> {
    let added = json["added_tokens"].as_array().into_iter().flatten();
    added
        .filter_map(|token| Some(token["content"].as_str()?.to_owned()))
        .collect()
}

/// A valid file: any steps in any order, any options of added tokens.
pub fn sound(dice: &mut Dice) -> Value {
    let names = [
        "<s>", "</s>", "<s", "ab", " b", "c ", "é", "<|x|>", "AB", "<s></s>",
    ];
    let mut added = Vec::new();
    for name in names {
        if dice.coin() {
            added.push(
                json!({"id": 100 + added.len(), "content": name, "single_word": dice.once_in(4),
                "lstrip": dice.once_in(3), "rstrip": dice.once_in(3), "normalized": dice.coin(),
                "special": dice.coin()}),
            );
        }
    }
    let mut normalizer = sequence(dice, "normalizers", sound_normalizer);
    let mut pre_tokenizer = sequence(dice, "pretokenizers", sound_pre_tokenizer);
    // If a step removes or adds the first character of a text, which token is first depends on the library's
    // alignments.
    if dice.once_in(5) {
        normalizer = dice.pick(&[Value::Null, json!({"type": "NFC"})]);
        let first = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": dice.coin()});
        pre_tokenizer = dice.pick(&[
            first.clone(),
            json!({"type": "Sequence", "pretokenizers": [first, {"type": "Digits", "individual_digits": true}]}),
        ]);
    }
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": null, "model": sound_model(dice)})
}

/// None, one step, or several.
fn sequence(dice: &mut Dice, list: &str, step: fn(&mut Dice) -> Value) -> Value {
    match dice.below(4) {
        0 => Value::Null,
        1 => step(dice),
        _ => {
            let steps: Vec<Value> = (0..dice.below(4)).map(|_| step(dice)).collect();
            json!({"type": "Sequence", list: steps})
        }
    }
}

fn sound_normalizer(dice: &mut Dice) -> Value {
    match dice.below(9) {
        0 => json!({"type": "NFC"}),
        1 => json!({"type": "NFKD"}),
        2 => json!({"type": "Lowercase"}),
        3 => json!({"type": "Replace", "pattern": {"String": dice.pick(&[" ", "a", "é", "ab"])},
            "content": dice.pick(&["▁", "", "bb", "c"])}),
        4 => {
            json!({"type": "Replace", "pattern": {"Regex": dice.pick(&["\\s+", "[ab]", "b(?=c)", "."])},
            "content": dice.pick(&["▁", "a", "1b"])})
        }
        5 => json!({"type": "Prepend", "prepend": dice.pick(&["▁", "a"])}),
        6 => json!({"type": "StripAccents"}),
        7 => {
            json!({"type": "BertNormalizer", "clean_text": dice.coin(), "handle_chinese_chars": dice.coin(),
            "strip_accents": dice.pick(&[Value::Null, json!(true), json!(false)]), "lowercase": dice.coin()})
        }
        _ => json!({"type": "Strip", "strip_left": dice.coin(), "strip_right": dice.coin()}),
    }
}

fn sound_pre_tokenizer(dice: &mut Dice) -> Value {
    let behavior = dice.pick(&[
        "Removed",
        "Isolated",
        "MergedWithPrevious",
        "MergedWithNext",
        "Contiguous",
    ]);
    match dice.below(11) {
        0 => {
            json!({"type": "ByteLevel", "add_prefix_space": dice.coin(), "trim_offsets": true, "use_regex": dice.coin()})
        }
        1 => {
            json!({"type": "Metaspace", "replacement": dice.pick(&["▁", "_"]), "split": dice.coin(),
            "prepend_scheme": dice.pick(&["always", "never"])})
        }
        2 => json!({"type": "Digits", "individual_digits": dice.coin()}),
        3 => {
            json!({"type": "Split", "pattern": {"String": dice.pick(&[" ", "a", "ab"])}, "behavior": behavior,
            "invert": dice.coin()})
        }
        4 => {
            json!({"type": "Split", "pattern": {"Regex": dice.pick(&["\\s+", "[ab]+", "b*", "\\w(?!b)", "(?i:A)"])},
            "behavior": behavior, "invert": dice.coin()})
        }
        5 => json!({"type": "Whitespace"}),
        6 => json!({"type": "WhitespaceSplit"}),
        7 => json!({"type": "Punctuation", "behavior": behavior}),
        8 => json!({"type": "BertPreTokenizer"}),
        9 => json!({"type": "FixedLength", "length": 1 + dice.below(3)}),
        _ => json!({"type": "UnicodeScripts"}),
    }
}

fn sound_model(dice: &mut Dice) -> Value {
    let mut tokens: Vec<String> = vec!["<unk>".into()];
    tokens.extend(LETTERS.map(str::to_owned));
    tokens.extend(["##", "##a", "##b", "<0xC3>", "<0xA9>"].map(str::to_owned));
    let mut merges = Vec::new();
    for _ in 0..dice.below(12) {
        let pair = (dice.pick(&tokens[1..]), dice.pick(&tokens[1..]));
        let made = format!("{}{}", pair.0, pair.1);
        merges.push(pair);
        if !tokens.contains(&made) {
            tokens.push(made);
        }
    }
    let ids: Map<String, Value> = tokens
        .iter()
        .cloned()
        .zip((0..).map(|id: u32| id.into()))
        .collect();
    match dice.below(6) {
        0 => {
            let scored = tokens
                .iter()
                .map(|token| json!([token, -(dice.below(90) as f64) / 10.0]));
            let scored: Vec<Value> = scored.collect();
            json!({"type": "Unigram", "vocab": scored, "unk_id": 0, "byte_fallback": dice.coin()})
        }
        1 => json!({"type": "WordLevel", "vocab": ids, "unk_token": "<unk>"}),
        2 => {
            json!({"type": "WordPiece", "vocab": ids, "unk_token": "<unk>", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 1 + dice.below(9)})
        }
        _ => {
            json!({"type": "BPE", "vocab": ids, "merges": merges, "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": dice.coin(),
            "byte_fallback": dice.coin(), "ignore_merges": dice.coin()})
        }
    }
}

/// A file with one or more parts that no program would write.
pub fn hostile(dice: &mut Dice) -> Value {
    let mut json = sound(dice);
    for _ in 0..1 + dice.below(3) {
        let fault: fn(&mut Dice, &mut Value) = dice.pick(&[
            hostile_normalizer as fn(&mut Dice, &mut Value),
            hostile_pre_tokenizer,
            hostile_model,
            hostile_added_tokens,
            hostile_post_processor,
            hostile_padding,
            hostile_decoder,
        ]);
        fault(dice, &mut json);
    }
    json
}

fn hostile_normalizer(dice: &mut Dice, json: &mut Value) {
    let long = "x".repeat(1 << dice.below(18));
    let step = match dice.below(12) {
        0 => json!({"type": "Prepend", "prepend": ""}),
        1 => json!({"type": "Prepend", "prepend": long}),
        2 => {
            json!({"type": "Replace", "pattern": {"String": ""}, "content": dice.pick(&["", "a", "▁▁"])})
        }
        3 => {
            json!({"type": "Replace", "pattern": {"Regex": dice.pick(&["", "a*", "(?=a)", "^", "$", "\\b"])},
            "content": dice.pick(&["", "é", "ab"])})
        }
        4 => json!({"type": "Replace", "pattern": {"Regex": expression(dice)}, "content": long}),
        5 => {
            let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
            json!({"type": "Sequence", "normalizers": vec![double; 40]})
        }
        6 => json!({"type": "Precompiled", "precompiled_charsmap": charsmap(dice)}),
        7 => json!({"type": "Precompiled"}),
        8 => nested(json!({"type": "NFC"}), "normalizers", dice.below(120)),
        9 => json!({"type": "Strip"}),
        10 => {
            json!({"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": true, "strip_right": true},
            {"type": "Nmt"}, {"type": "Prepend", "prepend": "▁"}, {"type": "StripAccents"}]})
        }
        _ => json!({"type": dice.pick(&["", "Python", "Sequence"])}),
    };
    json["normalizer"] = step;
}

/// Base64 of a damaged map of characters.
fn charsmap(dice: &mut Dice) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let start = dice.pick(&["", "AAAA", "/////w", "AAQAAA", "EAAAAA", "////fw"]);
    let digits = (0..dice.below(400)).map(|_| char::from(dice.pick(DIGITS)));
    format!("{start}{}", digits.collect::<String>())
}

fn nested(inner: Value, list: &str, depth: usize) -> Value {
    (0..depth).fold(inner, |inner, _| json!({"type": "Sequence", list: [inner]}))
}

/// A regular expression that is slow, takes much memory, or is invalid.
fn expression(dice: &mut Dice) -> String {
    let deep = 1 << dice.below(12);
    match dice.below(10) {
        0 => "(a+)+$".into(),
        1 => "(?:a|a)*(?=x)b".into(),
        2 => "(a*)*(?!b)\\1c".into(),
        3 => format!("{}a{}", "(".repeat(deep), ")".repeat(deep)),
        4 => "(?:(?=a)(?:\\p{L}{1000}){1000}){1000}".into(),
        5 => format!("(?=x){{{}}}", 1u64 << dice.below(40)),
        6 => "a".to_owned() + &"?".repeat(deep),
        7 => "(?<=".repeat(deep) + &")".repeat(deep),
        8 => dice
            .pick(&["(", "[", "\\", "a{", "(?P<", "\\p{Nope}", "*"])
            .into(),
        _ => "[^z]*z(?=q)".into(),
    }
}

fn hostile_pre_tokenizer(dice: &mut Dice, json: &mut Value) {
    let step = match dice.below(8) {
        0 => {
            json!({"type": "FixedLength", "length": dice.pick(&[json!(0), json!(u64::MAX), json!(-1)])})
        }
        1 => {
            json!({"type": "Split", "pattern": {"String": ""}, "behavior": "MergedWithNext", "invert": dice.coin()})
        }
        2 => {
            json!({"type": "Split", "pattern": {"Regex": expression(dice)}, "behavior": "Isolated", "invert": dice.coin()})
        }
        3 => nested(
            json!({"type": "Whitespace"}),
            "pretokenizers",
            dice.below(120),
        ),
        4 => {
            json!({"type": "Metaspace", "replacement": dice.pick(&["", "ab", "\u{0}", "é"]), "prepend_scheme": "first"})
        }
        5 => {
            json!({"type": "Metaspace", "replacement": "▁", "add_prefix_space": false, "prepend_scheme": "always"})
        }
        6 => json!({"type": "CharDelimiterSplit", "delimiter": dice.pick(&["", "ab", "a"])}),
        _ => json!({"type": dice.pick(&["Split", "Sequence", "Delimiter", "Magic"])}),
    };
    json["pre_tokenizer"] = step;
}

fn hostile_model(dice: &mut Dice, json: &mut Value) {
    let long = "a".repeat(1 << dice.below(18));
    let model = &mut json["model"];
    match dice.below(12) {
        0 => model["continuing_subword_prefix"] = dice.pick(&["##", "é", "aaaa", ""]).into(),
        1 => model["end_of_word_suffix"] = dice.pick(&["</w>", "é", ""]).into(),
        2 => model["unk_token"] = dice.pick(&[Value::Null, json!("nowhere"), json!("")]),
        3 => model["unk_id"] = dice.pick(&[Value::Null, json!(1u64 << 40), json!(-1)]),
        4 => model["dropout"] = dice.pick(&[json!(1.0), json!(0.5), json!(-1), json!("x")]),
        5 => model["max_input_chars_per_word"] = dice.pick(&[json!(0), json!(u64::MAX)]),
        6 => {
            model["merges"] = dice.pick(&[
                json!(["a"]),
                json!([["a"]]),
                json!(["a b c"]),
                json!([["", ""]]),
                json!([["a", "b"]]),
            ])
        }
        7 => {
            model["vocab"] = dice.pick(&[
                json!({}),
                json!([]),
                json!([["a", 1e308], ["b", -1e308], ["", 0]]),
                json!({"a": u32::MAX}),
            ])
        }
        8 => model["vocab"] = json!([[long, -1.0], ["a", -2.0]]),
        9 => model["vocab"] = json!({long: 0, "a": 1}),
        10 => {
            model["type"] = dice
                .pick(&["BPE", "Unigram", "WordLevel", "WordPiece", "Python"])
                .into()
        }
        _ => *model = dice.pick(&[Value::Null, json!({}), json!({"type": "BPE"})]),
    }
}

fn hostile_added_tokens(dice: &mut Dice, json: &mut Value) {
    let long = "<".repeat(1 << dice.below(18));
    let token = |content: &str, id: Value, flag: bool| {
        json!({"id": id, "content": content, "single_word": flag, "lstrip": flag, "rstrip": flag,
            "normalized": flag, "special": !flag})
    };
    let flag = dice.coin();
    json["added_tokens"] = match dice.below(6) {
        0 => json!([token("", json!(0), flag), token(" ", json!(1), flag)]),
        1 => json!([
            token("a", json!(u32::MAX), flag),
            token("a", json!(5), !flag)
        ]),
        2 => json!([token(&long, json!(3), flag)]),
        3 => (0..2000)
            .map(|id| token(&format!("<{id}>"), json!(id), flag))
            .collect(),
        4 => json!([token("a", json!(-1), flag)]),
        _ => json!([
            token("▁", json!(0), true),
            token("\n", json!(1), true),
            token("\n\n", json!(2), true)
        ]),
    };
}

fn hostile_post_processor(dice: &mut Dice, json: &mut Value) {
    let missing = json!({"SpecialToken": {"id": "nowhere", "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    json["post_processor"] = match dice.below(6) {
        0 => {
            json!({"type": "TemplateProcessing", "single": [missing, text], "pair": [], "special_tokens": {}})
        }
        1 => json!({"type": "TemplateProcessing", "single": [text, text], "pair": [text],
            "special_tokens": {"x": {"id": "x", "ids": [], "tokens": ["a", "b"]}}}),
        2 => {
            json!({"type": "TemplateProcessing", "single": "", "pair": "$B:9999999999", "special_tokens": []})
        }
        3 => {
            json!({"type": "RobertaProcessing", "sep": ["a", 4_000_000_000u32], "cls": ["b", 4_000_000_000u32],
            "trim_offsets": true, "add_prefix_space": true})
        }
        4 => nested(json!({"type": "ByteLevel"}), "processors", dice.below(120)),
        _ => json!({"type": "BertProcessing", "cls": [], "sep": null}),
    };
}

fn hostile_padding(dice: &mut Dice, json: &mut Value) {
    let huge = 1u64 << (20 + dice.below(44));
    match dice.coin() {
        true => {
            json["padding"] = json!({"strategy": dice.pick(&[json!({"Fixed": huge}), json!("BatchLongest")]),
                "direction": "Right", "pad_to_multiple_of": dice.pick(&[json!(huge), json!(0), Value::Null]),
                "pad_id": 0, "pad_type_id": 0, "pad_token": "x"})
        }
        false => {
            json["truncation"] = json!({"direction": "Left", "max_length": dice.pick(&[0, 1, huge]),
                "strategy": "OnlySecond", "stride": dice.pick(&[0, huge])})
        }
    }
}

fn hostile_decoder(dice: &mut Dice, json: &mut Value) {
    json["decoder"] = match dice.below(5) {
        0 => json!({"type": "Strip", "content": "", "start": u64::MAX, "stop": u64::MAX}),
        1 => json!({"type": "Replace", "pattern": {"String": ""}, "content": "x".repeat(100_000)}),
        2 => json!({"type": "Replace", "pattern": {"Regex": expression(dice)}, "content": ""}),
        3 => nested(json!({"type": "Fuse"}), "decoders", dice.below(120)),
        _ => json!({"type": "Metaspace", "replacement": "", "prepend_scheme": 5}),
    };
}
