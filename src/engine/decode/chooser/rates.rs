//! The tokens per second that each way to decode is expected to yield.

use super::{Base, Chooser, Form, Job, Place, ShapeChoice, UNKNOWN_MARGIN};

impl Chooser {
    /// Expected tokens per second of an exit whose drafts grow; `ease` as [`Estimates::ease`] returns it.
    pub(super) fn grown_rate(&self, ease: f64, exit: usize, place: Place) -> f64 {
        self.best_fixed_rate(ease, exit, place) * self.estimates.growth_gain()
    }

    /// The highest expected tokens per second of an exit in a form fixed in advance.
    pub(super) fn best_fixed_rate(&self, ease: f64, exit: usize, place: Place) -> f64 {
        let rates = self.fixed_rates(ease, exit, place);
        rates.map(|(_, rate)| rate).fold(0.0, f64::max)
    }

    /// Expected tokens per second of an exit in each form.
    fn fixed_rates(
        &self,
        ease: f64,
        exit: usize,
        place: Place,
    ) -> impl Iterator<Item = (&Form, f64)> + '_ {
        let (first, later) = self.estimates.ranks(ease, exit, self.layers);
        (0..self.forms.len()).map(move |at| {
            let form = &self.forms[at];
            let tokens = 1.0 + form.shape.accepted(&first, &later);
            let seconds = self
                .estimates
                .seconds(self.job(exit, at), &self.work, place);
            (form, tokens / seconds)
        })
    }

    /// The fastest way to use early exit and its expected tokens per second. Exits whose acceptance is not known are
    /// taken to be slower by [`UNKNOWN_MARGIN`].
    pub(super) fn best_exit(&self, place: Place) -> Option<(Base, f64)> {
        let ease = self.estimates.ease(self.layers);
        let exits = self.exits.iter().copied();
        let rated = exits.filter_map(|exit_layer| {
            let (shape, rate) = match self.grows {
                true => (
                    ShapeChoice::Growing,
                    self.grown_rate(ease, exit_layer, place),
                ),
                false => self
                    .fixed_rates(ease, exit_layer, place)
                    .map(|(form, rate)| (form.choice(), rate))
                    .max_by(|a, b| a.1.total_cmp(&b.1))?,
            };
            let base = Base::Exit { exit_layer, shape };
            Some((base, rate / self.caution(exit_layer)))
        });
        rated.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// By how much the rate of an exit is lowered if its acceptance is not known.
    fn caution(&self, exit: usize) -> f64 {
        match self.is_known(exit) {
            true => 1.0,
            false => UNKNOWN_MARGIN,
        }
    }

    /// Expected tokens per second.
    pub(super) fn rate(&self, base: Base, place: Place) -> f64 {
        match base {
            Base::Plain => 1.0 / self.estimates.seconds(Job::Plain, &self.work, place),
            Base::Exit {
                exit_layer,
                shape: ShapeChoice::Growing,
            } => self.grown_rate(self.estimates.ease(self.layers), exit_layer, place),
            Base::Exit {
                exit_layer,
                shape: ShapeChoice::Fixed { speculations, tree },
            } => {
                let known = self.form(speculations, tree);
                let other;
                let form = match known {
                    Some(form) => &self.forms[form],
                    None => {
                        other = Form::new(speculations, tree);
                        &other
                    }
                };
                let tokens = self.estimates.tokens(exit_layer, self.layers, &form.shape);
                let job = Job::Exit {
                    exit: exit_layer,
                    passes: &form.passes,
                    nodes: form.shape.len(),
                };
                tokens / self.estimates.seconds(job, &self.work, place)
            }
        }
    }

    pub(super) fn form(&self, depth: usize, tree: usize) -> Option<usize> {
        let same = |form: &Form| (form.depth, form.tree) == (depth, tree);
        self.forms.iter().position(same)
    }

    pub(super) fn job(&self, exit: usize, form: usize) -> Job<'_> {
        let form = &self.forms[form];
        Job::Exit {
            exit,
            passes: &form.passes,
            nodes: form.shape.len(),
        }
    }
}
