//! Markdown of finished answers. Every stretch of text knows its token, so that tokens keep their origin's look and can
//! be walked and clicked as in the plain text.

mod inline;
mod reader;
mod source;
mod table;

use super::wrap::{Piece, Place, Source};
use crate::app::state::turn::{TokenRef, Turn};
use source::{Fragment, Text};

/// An answer as lines with roles, laid out for one width.
#[derive(Debug, Default, PartialEq)]
pub struct Document {
    /// Each but the last ends with a line feed.
    blocks: Vec<Vec<Fragment>>,
}

impl Document {
    /// Read the answer of the turn at `index`, for lines of `width` cells.
    pub fn of(index: usize, turn: &Turn, width: u16) -> Self {
        Self::parse(&Text::of(index, turn), width)
    }

    fn parse(text: &Text, width: u16) -> Self {
        let mut blocks = reader::read(text, width);
        let last = blocks.len().saturating_sub(1);
        blocks[..last]
            .iter_mut()
            .for_each(|block| block.push(Fragment::line_end()));
        Self { blocks }
    }

    /// Where a token begins, or the next one that has something to show.
    pub fn place(&self, token: TokenRef) -> Place {
        let pieces = self.blocks.iter().enumerate().flat_map(|(group, block)| {
            block.iter().enumerate().map(move |(piece, fragment)| {
                (
                    Place {
                        group,
                        piece,
                        byte: 0,
                    },
                    fragment.token,
                )
            })
        });
        let mut shown = pieces.filter_map(|(place, shown)| Some((place, shown?)));
        shown
            .find(|(_, shown)| *shown >= token)
            .map(|(place, _)| place)
            .unwrap_or_default()
    }
}

impl Source for Document {
    fn settled(&self) -> usize {
        self.blocks.len()
    }

    fn groups(&self) -> usize {
        self.blocks.len()
    }

    fn piece(&self, group: usize, piece: usize) -> Option<Piece<'_>> {
        self.blocks.get(group)?.get(piece).map(Fragment::piece)
    }
}

#[cfg(test)]
mod tests;
