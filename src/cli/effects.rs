//! What `rmap warm`, `rmap evict` and `rmap lock` share: a row a file, and a total.

use super::args::EffectArgs;
use super::{Done, Report, Stop, screen};
use crate::control::Effect;
use crate::error::Error;
use crate::output::choose::renderer;
use crate::output::{Layout, Renderer, SizeUnit, Totals, column};
use crate::views::effect::{self, EffectRow, Effects};

/// The columns, for `--help`.
pub(crate) fn help() -> String {
    format!("Columns:\n{}\nSizes are in bytes unless -H is given.", column::help(effect::COLUMNS))
}

/// Writes the rows.
pub(crate) struct Rows {
    renderer: Box<dyn Renderer<Effects>>,
    totals: Option<Totals<Effects>>,
}

impl Rows {
    /// Opens the table; `default` are the columns of a table where none were named.
    pub(crate) fn begin(args: &EffectArgs, default: &[&str]) -> Result<Rows, Stop> {
        let columns = screen::columns(&args.output, effect::COLUMNS, &args.output.default_columns(default))?;
        let layout = Layout { rows_key: "files", total: args.total, ..screen::layout(&args.output, SizeUnit::Bytes) };
        let totals = args.total.then(|| Totals::new(&columns));
        let mut renderer = renderer::<Effects>(layout, columns, screen::output());
        renderer.begin(None)?;
        Ok(Rows { renderer, totals })
    }

    /// One file: what came of it, or why nothing was done.
    pub(crate) fn add(&mut self, done: Result<Effect, Error>, report: &mut Report) -> Done {
        match done {
            Ok(effect) => self.add_effect(&effect, report),
            Err(error) => {
                report.failure(&error);
                Ok(())
            }
        }
    }

    /// What is not as it was asked to be makes the answer incomplete.
    fn add_effect(&mut self, effect: &Effect, report: &mut Report) -> Done {
        if let Some(trouble) = &effect.trouble {
            report.failure(trouble);
        }
        if !effect.is_complete() {
            report.incomplete();
        }
        let row = EffectRow { effect };
        if let Some(totals) = &mut self.totals {
            totals.add(&row);
        }
        Ok(self.renderer.row(&row)?)
    }

    /// Closes the table, also where a signal has ended the work.
    pub(crate) fn end_after(mut self, done: Done) -> Done {
        if matches!(done, Ok(()) | Err(Stop::Signal(_))) {
            self.renderer.end(self.totals.as_ref())?;
            self.renderer.finish()?;
        }
        done
    }
}
