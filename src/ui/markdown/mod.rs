//! Markdown of finished answers. Every fragment of text knows its token, so that tokens keep the style of their origin
//! and can be selected as in the plain text.

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
    /// All but the last end with a line feed.
    blocks: Vec<Vec<Fragment>>,
}

impl Document {
    /// Reads the answer of the turn at `index`, for lines of `width` cells.
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

    /// Where a token starts; if it shows nothing, the next one that does.
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
