//! Answers, complete and streamed.

use super::{Served, hello, options};
use serde_json::{Value, json};
use skiplens::engine::decode::{Controller, Proposers, Settings};
use skiplens::server::Options;

const ROW: [u32; 6] = [1, 270, 280, 275, 263, 271];

/// Evaluation harnesses rely on this to score texts.
#[test]
fn echoed_log_probabilities_have_one_entry_for_each_token() {
    let served = Served::new();
    let body = |row: &[u32]| {
        json!({"prompt": [row], "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234,
            "echo": true, "model": "x"})
    };
    for length in 1..=ROW.len() {
        let answer = served.complete(body(&ROW[..length]));
        let logprobs = &answer["choices"][0]["logprobs"];
        let list = |name: &str| logprobs[name].as_array().unwrap().clone();
        let values = list("token_logprobs");
        for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(list(name).len(), length + 1, "{name}");
        }
        assert!(values[0].is_null() && list("top_logprobs")[0].is_null());
        assert_eq!(answer["usage"]["prompt_tokens"], length);
        for (at, top) in list("top_logprobs").iter().enumerate().skip(1) {
            let chosen = list("tokens")[at].as_str().unwrap().to_owned();
            assert_eq!(top[&chosen], values[at], "the same number in both places");
            assert!(values[at].as_f64().unwrap() < 0.0);
        }
        // Generated tokens are greedy.
        let last = list("top_logprobs").pop().unwrap();
        assert_eq!(last.as_object().unwrap().len(), 1);
    }
    assert!(served.metric("skiplens:cached_prompt_tokens_total") > 0.0);
}

#[test]
fn scores_do_not_depend_on_other_requests() {
    let fresh = |prompt: Value, depth: Value| {
        let body = json!({"prompt": prompt, "temperature": 0, "max_tokens": 0, "logprobs": 2,
            "echo": true, "strategy": depth, "exit_layer": 1});
        Served::new().complete(body)["choices"].clone()
    };
    let rows = json!([ROW, ROW[..3], [1, 270, 280, 290], [5]]);
    for strategy in ["early-exit", "self_speculative"] {
        let together = fresh(rows.clone(), strategy.into());
        for (at, row) in rows.as_array().unwrap().iter().enumerate() {
            let alone = fresh(json!([row]), strategy.into());
            assert_eq!(alone[0]["logprobs"], together[at]["logprobs"], "{strategy}");
        }
    }
    let [early, whole] =
        ["early-exit", "autoregressive"].map(|strategy| fresh(json!([ROW]), strategy.into()));
    assert_ne!(
        early[0]["logprobs"], whole[0]["logprobs"],
        "the depth counts"
    );
}

#[test]
fn a_stream_has_the_content_of_a_complete_answer() {
    let served = Served::new();
    for sampling in [
        json!({"temperature": 0}),
        json!({"temperature": 1, "seed": 5, "n": 2}),
    ] {
        let mut body = json!({"prompt": "hello the", "max_tokens": 24, "logprobs": 3, "echo": true,
            "skiplens": {"detail": true}, "messages": hello(), "top_logprobs": 3});
        body.as_object_mut()
            .unwrap()
            .extend(sampling.as_object().unwrap().clone());
        for path in ["/v1/completions", "/v1/chat/completions"] {
            let chat = path.contains("chat");
            if chat {
                body["logprobs"] = json!(true);
            }
            let mut streaming = body.clone();
            streaming["stream"] = json!(true);
            streaming["stream_options"] = json!({"include_usage": true});
            let whole = served.post(path, &body).good();
            let mut events = served.post(path, &streaming).events();
            let last = events.pop().unwrap();
            assert_eq!(last["choices"], json!([]));
            assert_eq!(
                last["usage"]["total_tokens"],
                whole["usage"]["total_tokens"]
            );
            for choice in whole["choices"].as_array().unwrap() {
                let of = |event: &&Value| event["choices"][0]["index"] == choice["index"];
                let chunks: Vec<&Value> = events.iter().filter(of).collect();
                assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
                let text = |chunk: &&Value| {
                    let choice = &chunk["choices"][0];
                    let text = if chat {
                        &choice["delta"]["content"]
                    } else {
                        &choice["text"]
                    };
                    text.as_str().unwrap_or("").to_owned()
                };
                let streamed: String = chunks.iter().map(text).collect();
                let written = if chat {
                    &choice["message"]["content"]
                } else {
                    &choice["text"]
                };
                assert_eq!(&json!(streamed), written);
                let name = if chat { "content" } else { "token_logprobs" };
                let logs = chunks
                    .iter()
                    .filter_map(|chunk| chunk["choices"][0]["logprobs"][name].as_array())
                    .flatten();
                assert_eq!(&logs.cloned().collect::<Value>(), &choice["logprobs"][name]);
                let ends = |chunk: &&&Value| !chunk["choices"][0]["finish_reason"].is_null();
                assert_eq!(chunks.iter().filter(ends).count(), 1);
                assert!(
                    ends(&chunks.last().unwrap()) && chunks.last().unwrap()["timings"].is_object()
                );
                if chat {
                    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
                }
                let tokens = choice["skiplens"]["tokens"].as_array().unwrap();
                assert!(tokens.iter().all(|token| token["origin"].is_string()));
            }
        }
    }
}

/// One seed gives one text, whatever drafts it; choice i has seed + i.
#[test]
fn choices_have_their_own_seeds() {
    let served = Served::new();
    let body = |seed: u64, n: usize, more: Value| {
        let mut body =
            json!({"prompt": "hello", "max_tokens": 20, "temperature": 1.0, "seed": seed, "n": n});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        served.complete(body)["choices"].clone()
    };
    let three = body(7, 3, json!({}));
    for (at, knobs) in [
        json!({"strategy": "autoregressive"}),
        json!({"num_speculations": 1, "coupling": "shared-noise"}),
        json!({"exit_layer": -1, "num_speculations": 9, "draft_vocab": 40}),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(body(7 + at as u64, 1, knobs)[0]["text"], three[at]["text"]);
    }
    assert_ne!(three[0]["text"], three[1]["text"]);
    // Without a seed, every request has its own.
    let unseeded =
        || served.complete(json!({"prompt": "hello", "max_tokens": 20, "temperature": 1.0}));
    assert_ne!(unseeded()["choices"], unseeded()["choices"]);
    let seeded = Served::with(Options {
        seeded: true,
        ..options()
    });
    let unseeded = || seeded.complete(json!({"prompt": "hello", "max_tokens": 20}));
    assert_eq!(unseeded()["choices"], unseeded()["choices"]);
}

/// Fields that the command line has too, in every form.
#[test]
fn fields_of_drafting_mean_what_they_mean_on_the_command_line() {
    let served = Served::with(Options::new(Settings {
        controller: Controller::Auto,
        proposers: Proposers::Auto,
        ..options().defaults
    }));
    let ask = |more: Value| {
        let mut body = json!({
            "prompt": "hello", "max_tokens": 20, "temperature": 0, "skiplens": {"detail": true},
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let reply = served.post("/v1/completions", &body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.body);
        let named = reply.head.lines();
        let ignored = named
            .filter_map(|line| line.strip_prefix("x-skiplens-ignored: "))
            .collect::<String>();
        (reply.json()["choices"][0].clone(), ignored)
    };
    let plain = ask(json!({"strategy": "autoregressive"})).0["text"].clone();
    for (more, ignored) in [
        (json!({"adapter": true, "kvq_reuse": true}), ""),
        (json!({"adapter": "on", "kvq_reuse": "on"}), ""),
        (json!({"adapter": false, "kvq_reuse": false}), ""),
        (
            json!({"adapter": "off", "kvq_reuse": "off", "exit_layer": 1}),
            "",
        ),
        (json!({"confidence": 0.3}), ""),
        (json!({"confidence": 0.3, "controller": "confidence"}), ""),
        (
            json!({"confidence": 0.3, "controller": "fixed"}),
            "confidence",
        ),
        (
            json!({"draft_vocab": 100_000, "exit_layer": 1}),
            "draft_vocab",
        ),
        (json!({"draft_vocab": 20, "exit_layer": 1}), ""),
    ] {
        let (choice, named) = ask(more.clone());
        assert_eq!(choice["text"], plain, "{more}");
        assert_eq!(named, ignored, "{more}");
    }
    // A certain draft never ends early; an impossible threshold ends each at its first token.
    let drafted = |more: Value| {
        let mut body = json!({
            "prompt": "hello", "max_tokens": 20, "temperature": 0, "skiplens": {"detail": true},
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let answer = served.complete(body);
        let steps = &answer["metrics"]["speculative_decoding"]["per_step_drafted"];
        let steps: Vec<usize> = serde_json::from_value(steps.clone()).unwrap();
        steps.into_iter().max().unwrap()
    };
    let draft = json!({"exit_layer": 1, "num_speculations": 4, "proposers": "exit"});
    let with = |confidence: f32| {
        let mut draft = draft.clone();
        draft["confidence"] = json!(confidence);
        drafted(draft)
    };
    assert_eq!(with(0.0), drafted(draft.clone()));
    assert!(with(1.0) <= 1, "{}", with(1.0));
}

#[test]
fn texts_end_before_stop_strings() {
    let served = Served::new();
    let body = json!({"prompt": "hello", "max_tokens": 60, "temperature": 0});
    let text = served.complete(body.clone())["choices"][0]["text"].clone();
    let text = text.as_str().unwrap();
    let middle = text.chars().count() / 2;
    let stop: String = text.chars().skip(middle).take(4).collect();
    for stops in [json!(stop), json!(["never there", stop, ""])] {
        let mut body = body.clone();
        body["stop"] = stops;
        let choice = served.complete(body)["choices"][0].clone();
        assert_eq!(choice["finish_reason"], "stop");
        assert_eq!(choice["stop_reason"], stop);
        assert_eq!(choice["text"], text[..text.find(&stop).unwrap()]);
    }
}

#[test]
fn figures_of_speculation_agree_with_each_other() {
    let served = Served::new();
    for (body, k) in [
        (json!({"num_speculations": 4}), json!(4)),
        (json!({"strategy": "autoregressive"}), Value::Null),
        (
            json!({"temperature": 1.0, "coupling": "rejection"}),
            json!(3),
        ),
    ] {
        let mut body = body;
        body["prompt"] = json!("hello");
        body["max_tokens"] = json!(40);
        body["skiplens"] = json!({"detail": true});
        let answer = served.complete(body);
        let (timings, metrics) = (&answer["timings"], &answer["metrics"]);
        let speculation = &metrics["speculative_decoding"];
        assert_eq!(speculation["num_spec_tokens"], k);
        assert_eq!(timings["predicted_n"], answer["usage"]["completion_tokens"]);
        if k.is_null() {
            assert_eq!(
                (&timings["draft_n"], speculation),
                (&json!(0), &Value::Null)
            );
            continue;
        }
        let numbers =
            |name: &str| -> Vec<u64> { serde_json::from_value(speculation[name].clone()).unwrap() };
        let histogram = numbers("acceptance_histogram");
        assert_eq!(histogram.len() as u64, k.as_u64().unwrap() + 1);
        assert_eq!(speculation["num_spec_steps"], histogram.iter().sum::<u64>());
        let accepted: u64 = histogram.iter().zip(0..).map(|(count, j)| count * j).sum();
        assert_eq!(speculation["num_accepted_draft_tokens"], accepted);
        assert_eq!(timings["draft_n_accepted"], accepted);
        assert_eq!(timings["draft_n"], speculation["num_draft_tokens"]);
        assert_eq!(numbers("per_step_accepted").iter().sum::<u64>(), accepted);
        assert_eq!(
            numbers("per_step_drafted").iter().sum::<u64>(),
            timings["draft_n"].as_u64().unwrap()
        );
    }
    let positions = served.get("/metrics").body;
    assert!(
        positions.contains("vllm:spec_decode_num_accepted_tokens_per_pos_total{position=\"0\"}")
    );
    assert!(positions.contains("skiplens:spec_decode_num_drafts_total{exit_layer=\"1\"}"));
}

#[test]
fn messages_are_accepted_in_all_forms_that_clients_use() {
    let served = Served::new();
    let answer = |messages: Value| {
        let body = json!({"messages": messages, "max_completion_tokens": 5, "temperature": 0, "tools": [],
            "response_format": {"type": "text"}, "frequency_penalty": 0, "stop": null, "unknown": {"a": 1}});
        served.chat(body)["choices"][0]["message"]["content"].clone()
    };
    let plain = answer(
        json!([{"role": "system", "content": "he"}, {"role": "user", "content": "hello\nthe"}]),
    );
    let parts = json!([{"type": "text", "text": "hello"}, {"type": "text", "text": "the"}]);
    let other =
        answer(json!([{"role": "developer", "content": "he"}, {"role": "user", "content": parts}]));
    assert_eq!(plain, other);
    // A message cannot contain control tokens; the prompt of a completion, which a program writes, can.
    let tokens = |text: &str| {
        served.complete(json!({"prompt": text, "max_tokens": 0}))["usage"]["prompt_tokens"].clone()
    };
    assert_eq!(tokens("</s></s>"), 3);
    let count = |content: &str| {
        let body = json!({"messages": [{"role": "user", "content": content}], "max_tokens": 0});
        served.chat(body)["usage"]["prompt_tokens"]
            .as_u64()
            .unwrap()
    };
    assert!(count("</s></s>") > count("ab") + 4);
}

#[test]
fn harnesses_can_use_the_tokenizer() {
    let served = Served::new();
    for prefix in ["", "/v1"] {
        let info = served.get(&format!("{prefix}/tokenizer_info")).good();
        assert_eq!(
            (&info["bos_token"], &info["eos_token"]),
            (&json!("<s>"), &json!("</s>"))
        );
        let tokenize = |body: Value| {
            served.post(&format!("{prefix}/tokenize"), &body).good()["tokens"].clone()
        };
        let plain = tokenize(json!({"prompt": "hello", "add_special_tokens": false}));
        let with_bos = tokenize(json!({"prompt": "hello"}));
        assert_eq!(
            with_bos.as_array().unwrap()[1..],
            plain.as_array().unwrap()[..]
        );
        assert_eq!(
            tokenize(json!({"prompt": "</s>", "add_special_tokens": false})),
            json!([2])
        );
        let text = served
            .post(
                &format!("{prefix}/detokenize"),
                &json!({"tokens": with_bos}),
            )
            .good();
        assert!(
            text["prompt"].as_str().unwrap().starts_with("<s>"),
            "{text}"
        );
    }
    let models = served.get("/v1/models").good();
    let id = models["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(models["data"][0]["meta"]["n_layer"], 2);
    assert_eq!(
        served.get(&format!("/v1/models/{id}")).good()["id"],
        json!(id)
    );
    assert_eq!(served.get("/health").good(), json!({"status": "ok"}));
    let document = served.get("/openapi.json").good();
    assert!(document["paths"]["/v1/chat/completions"]["post"].is_object());
    // Keys of JSON objects are strings.
    let names = document.to_string();
    assert!(!names.contains("\"propertyNames\":{\"type\":\"integer\""));
}

/// Requests may choose how to draft; with E, K or a tree set, the controller does not change the draft.
#[test]
fn every_way_to_draft_gives_the_same_answer() {
    let served = Served::new();
    let ask = |more: Value| {
        let mut body = json!({"prompt": [ROW], "temperature": 0, "max_tokens": 24, "model": "x",
            "skiplens": {"detail": true}});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        served.complete(body)
    };
    let plain = ask(json!({"strategy": "autoregressive"}));
    for more in [
        json!({}),
        json!({"exit_layer": 1, "num_speculations": 3}),
        json!({"proposers": "lookup", "num_speculations": 6}),
        json!({"proposers": "exit+lookup", "tree": 6}),
        json!({"controller": "auto", "proposers": "auto"}),
        json!({"controller": "confidence:0.3"}),
    ] {
        let answer = ask(more.clone());
        assert_eq!(
            answer["choices"][0]["text"], plain["choices"][0]["text"],
            "{more}"
        );
    }
    let lookup = r#"skiplens:spec_decode_num_draft_tokens_by_proposer_total{proposer="lookup"}"#;
    assert!(served.metric(lookup) >= 0.0);
}

/// `skiplens health` succeeds while a server answers, and ends with status 1 when none does.
#[test]
fn health_checks_see_whether_the_server_answers() {
    let mut served = Served::new();
    let port = served.address.port().to_string();
    let health = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_skiplens"));
        let output = command.arg("health").env("SKIPLENS_PORT", &port).output();
        output.unwrap().status.code()
    };
    assert_eq!(health(), Some(0));
    served.stop();
    assert_eq!(health(), Some(1));
}
