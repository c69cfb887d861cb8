//! Runs the Language Model Evaluation Harness against a server on a free port.

use crate::cli::output::note;
use crate::cli::values;
use crate::engine::decode::{Settings, Stats};
use crate::engine::loaded_model::{LoadedModel, ModelInfo};
use crate::engine::{Error, Result};
use crate::server::{self, Options, Server};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Options of LayerSkip's `eval.py` that are passed to the harness.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the Language Model Evaluation Harness")]
pub struct HarnessArgs {
    /// Tasks that an installed lm_eval knows, separated by commas.
    #[arg(long, value_name = "TASKS", num_args = 1.., value_delimiter = ',', value_parser = values::filled)]
    pub tasks: Vec<String>,
    /// The program.
    #[arg(long, default_value = "lm_eval", value_name = "PATH")]
    lm_eval: PathBuf,
    /// A folder with tasks of your own.
    #[arg(long, value_name = "FOLDER", conflicts_with = "data_path")]
    include_path: Option<PathBuf>,
    /// Examples before each question.
    #[arg(long, value_parser = values::given_count, value_name = "N", conflicts_with = "data_path")]
    num_fewshot: Option<values::Given<usize>>,
    /// Rows per request.
    #[arg(long, default_value_t = 1, value_parser = values::count, value_name = "N")]
    batch_size: usize,
    /// Concurrent requests. They wait for each other, since there is one engine.
    #[arg(long, default_value_t = 1, value_parser = values::count, value_name = "N")]
    num_concurrent: usize,
    /// Prefix of a database of answers.
    #[arg(long, value_name = "PATH", conflicts_with = "data_path")]
    use_cache: Option<String>,
    /// Keep prepared requests: true, refresh or delete.
    #[arg(long, value_name = "HOW", conflicts_with = "data_path")]
    cache_requests: Option<String>,
    /// As `--cache-requests refresh`.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    rewrite_requests_cache: Option<bool>,
    /// As `--cache-requests delete`.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    delete_requests_cache: Option<bool>,
    /// Has no effect: lm_eval has no such option on its command line.
    #[arg(long, value_name = "N", conflicts_with = "data_path")]
    bootstrap_iters: Option<usize>,
    /// Test the tasks themselves.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    check_integrity: Option<bool>,
    /// Print prompts of the first rows.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    write_out: Option<bool>,
    /// Log the model's answer to every row; by default true if there is a folder for results.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    log_samples: Option<bool>,
    /// A system message.
    #[arg(long, value_name = "TEXT", conflicts_with = "data_path")]
    system_instruction: Option<String>,
    /// Apply the chat template. The harness can then only generate, not score.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    apply_chat_template: Option<bool>,
    /// Give examples as turns of a conversation.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    fewshot_as_multiturn: Option<bool>,
    /// Settings of generation, as `temperature=0.5,top_p=0.9`.
    #[arg(long, value_name = "ARGS", conflicts_with = "data_path")]
    gen_kwargs: Option<String>,
    /// Log level of the harness: INFO, WARNING, …
    #[arg(long, value_name = "LEVEL", conflicts_with = "data_path")]
    verbosity: Option<String>,
    /// Only generate answers, without scoring them.
    #[arg(long, value_parser = values::boolean, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with = "data_path")]
    predict_only: Option<bool>,
    /// Seeds of the harness.
    #[arg(long, default_value_t = 0, value_name = "N")]
    random_seed: u64,
    #[arg(long, default_value_t = 1234, value_name = "N")]
    numpy_random_seed: u64,
    #[arg(long, default_value_t = 1234, value_name = "N")]
    torch_random_seed: u64,
    #[arg(long, default_value_t = 1234, value_name = "N")]
    fewshot_random_seed: u64,
}

/// The file written next to the results of the harness.
#[derive(Serialize)]
pub struct HarnessReport<'a> {
    pub model: &'a ModelInfo,
    pub settings: &'a Settings,
    /// Statistics of all generated rounds.
    pub stats: &'a Stats,
}

/// How the harness ended.
pub struct Ended {
    pub status: ExitCode,
    pub stats: Stats,
}

impl HarnessArgs {
    /// Serves the model on a free port, runs the harness against it, and waits for it to exit.
    ///
    /// # Errors
    /// If the server or the harness cannot be started.
    pub fn run(
        &self,
        model: LoadedModel,
        settings: Settings,
        limit: Option<usize>,
        max_tokens: Option<usize>,
        folder: Option<&Path>,
    ) -> Result<Ended> {
        if self.bootstrap_iters.is_some() {
            note("--bootstrap-iters has no effect: lm_eval has no such option on its command line");
        }
        let bind = |error| Error::io("the server", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(bind)?;
        let has_bos =
            (model.decoder.tokenizer()).is_some_and(|tokenizer| tokenizer.bos().is_some());
        let context = model.info.config.context_length;
        let name = model.info.name.clone();
        let server = server::start(model, listener, Options::new(settings)).map_err(bind)?;
        let mut command = Command::new(&self.lm_eval);
        command.args(self.arguments(&server, &name, context, has_bos, limit, max_tokens, folder));
        if std::env::var_os("OPENAI_API_KEY").is_none() {
            command.env("OPENAI_API_KEY", "none");
        }
        let ended = command.status();
        let stats = server.stats();
        server.stop();
        let status = ended.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Setting(format!(
                "there is no {}; get it with: pip install \"lm_eval[api]\", or name it with --lm-eval (uvx --from \
                 \"lm_eval[api]\" lm_eval runs it without installing); --data-path FILE scores a file without it",
                self.lm_eval.display()
            )),
            _ => Error::io(&self.lm_eval, error),
        })?;
        let status = match status.code() {
            Some(code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
            None => ExitCode::FAILURE,
        };
        Ok(Ended { status, stats })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one list of options becomes another"
    )]
    fn arguments(
        &self,
        server: &Server,
        name: &str,
        context: usize,
        has_bos: bool,
        limit: Option<usize>,
        max_tokens: Option<usize>,
        folder: Option<&Path>,
    ) -> Vec<OsString> {
        let chats = self.apply_chat_template == Some(true);
        let (model, path) = match chats {
            true => ("local-chat-completions", "chat/completions"),
            false => ("local-completions", "completions"),
        };
        // Commas and equals signs are separators to the harness.
        let name: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let mut model_args = format!(
            "model={name},base_url=http://{}/v1/{path},max_length={context},num_concurrent={}",
            server.address, self.num_concurrent
        );
        if has_bos && !chats {
            model_args += ",add_bos_token=True";
        }
        if let Some(tokens) = max_tokens {
            model_args += &format!(",max_gen_toks={tokens}");
        }
        let seeds = [
            self.random_seed,
            self.numpy_random_seed,
            self.torch_random_seed,
            self.fewshot_random_seed,
        ];
        let seeds = seeds.map(|seed| seed.to_string()).join(",");
        let mut out: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                out.extend([OsString::from(format!("--{name}")), value]);
            }
        };
        let text = |value: &Option<String>| value.as_ref().map(OsString::from);
        option("model", Some(model.into()));
        option("model_args", Some(model_args.into()));
        option("tasks", Some(self.tasks.join(",").into()));
        option("batch_size", Some(self.batch_size.to_string().into()));
        option("seed", Some(seeds.into()));
        option("include_path", self.include_path.clone().map(Into::into));
        let shots = values::Given::value(self.num_fewshot);
        option("num_fewshot", shots.map(|n| n.to_string().into()));
        option("limit", limit.map(|n| n.to_string().into()));
        option("output_path", folder.map(Into::into));
        option("use_cache", text(&self.use_cache));
        let cache = match (self.delete_requests_cache, self.rewrite_requests_cache) {
            (Some(true), _) => Some("delete".into()),
            (_, Some(true)) => Some("refresh".into()),
            _ => text(&self.cache_requests),
        };
        option("cache_requests", cache);
        option("system_instruction", text(&self.system_instruction));
        option("gen_kwargs", text(&self.gen_kwargs));
        option("verbosity", text(&self.verbosity));
        let multi_turn = self.fewshot_as_multiturn.map(|on| on.to_string().into());
        option("fewshot_as_multiturn", multi_turn);
        for (name, on) in [
            ("check_integrity", self.check_integrity),
            ("write_out", self.write_out),
            ("log_samples", self.log_samples.or(Some(folder.is_some()))),
            ("apply_chat_template", self.apply_chat_template),
            ("predict_only", self.predict_only),
        ] {
            if on == Some(true) {
                out.push(format!("--{name}").into());
            }
        }
        out
    }
}
