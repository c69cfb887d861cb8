//! Turns errors of the hub into messages that say what to do.

use super::model::HubModel;
use crate::engine::Error;
use crate::engine::weights::known_model;
use crate::error_text;
use hf_hub::api::sync::ApiError;

/// The context of an error.
pub struct Trouble<'a> {
    pub model: &'a HubModel,
    pub endpoint: &'a str,
    pub has_token: bool,
}

/// Turns an error of the `hf-hub` crate into one with an explanation.
pub fn explain(trouble: &Trouble, error: ApiError) -> Error {
    let model = &trouble.model.repository;
    Error::Model(match error {
        ApiError::RequestError(error) => trouble.request(&error),
        ApiError::TooManyRetries(inner) => return explain(trouble, *inner),
        ApiError::LockAcquisition(path) => {
            format!(
                "another program is downloading {model}; wait for it, or remove {} if there is none",
                path.display()
            )
        }
        ApiError::IoError(error) => {
            format!(
                "downloading {model} was interrupted: {}; try again to resume it",
                error_text::io(&error)
            )
        }
        ApiError::InvalidResume => {
            format!("the copy of {model} in the cache is damaged; remove it and try again")
        }
        other => format!(
            "unexpected response of {} about {model}: {other}",
            trouble.endpoint
        ),
    })
}

impl Trouble<'_> {
    fn request(&self, error: &ureq::Error) -> String {
        let (model, endpoint) = (&self.model.repository, self.endpoint);
        match error {
            ureq::Error::StatusCode(401 | 403) => self.refused(),
            ureq::Error::StatusCode(404) => {
                format!("there is no {} at {endpoint}; check its name", self.model)
            }
            ureq::Error::StatusCode(429) => {
                format!("{endpoint} limits the rate of requests; try again in a few minutes")
            }
            ureq::Error::StatusCode(code) => {
                format!("{endpoint} responded with status {code} for {model}; try again later")
            }
            error => format!(
                "cannot reach {endpoint} for {model}: {}. Without a network, give a path, or leave --model out for the \
                 bundled model",
                error_text::http(error)
            ),
        }
    }

    /// The message for a denied request: how to request access and to log in.
    fn refused(&self) -> String {
        let model = &self.model.repository;
        let page = format!("https://huggingface.co/{model}");
        if self.has_token {
            return format!(
                "your Hugging Face token has no access to {model}. Request access at {page}, wait until it is granted, \
                 and see at https://huggingface.co/settings/tokens that the token may read gated repositories"
            );
        }
        let what = if known_model(model).is_some() {
            "gated"
        } else {
            "gated, private or does not exist"
        };
        format!(
            "{model} is {what}. Request access at {page}, then log in: run `hf auth login`, or \
             set HF_TOKEN to a token from https://huggingface.co/settings/tokens"
        )
    }
}
