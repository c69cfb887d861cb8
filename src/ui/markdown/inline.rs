//! Inline content: emphasis, code, links.

use super::super::theme::Role;
use super::source::Span;
use pulldown_cmark::{Event, LinkType, Tag, TagEnd};
use std::ops::Range;

/// The spans of one line.
pub struct Inline<'t> {
    text: &'t str,
    spans: Vec<Span>,
    /// Open roles, the innermost last.
    roles: Vec<Role>,
    links: Vec<Link>,
    /// Bare URLs of the text, in order.
    addresses: Vec<Range<usize>>,
    /// Up to here, addresses are already written.
    written: usize,
}

/// An open link.
struct Link {
    address: String,
    /// Number of spans before its text.
    first: usize,
}

impl<'t> Inline<'t> {
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            spans: Vec::new(),
            roles: Vec::new(),
            links: Vec::new(),
            addresses: addresses(text),
            written: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Takes the line so far.
    pub fn take(&mut self) -> Vec<Span> {
        self.links.iter_mut().for_each(|link| link.first = 0);
        std::mem::take(&mut self.spans)
    }

    pub fn open(&mut self, role: Role) {
        self.roles.push(role);
    }

    pub fn close(&mut self) {
        self.roles.pop();
    }

    /// A range of the source, verbatim.
    pub fn source(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.spans.push(Span::Source(range, self.role()));
        }
    }

    fn role(&self) -> Role {
        self.roles.last().copied().unwrap_or(Role::Text)
    }

    pub fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Text(text) if self.text[range.clone()] == *text => self.words(range),
            Event::Text(text) => self.replaced(range, &text, self.role()),
            Event::Code(code) => self.code(&code, range),
            _ => self.source(range),
        }
    }

    pub fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        let role = match tag {
            // A mark within an address is literal.
            _ if self.address_at(range.start).is_some() => self.role(),
            Tag::Emphasis => Role::Emphasis,
            Tag::Strong => Role::Strong,
            Tag::Link {
                link_type,
                dest_url,
                ..
            } => {
                let shows_itself = matches!(link_type, LinkType::Autolink | LinkType::Email);
                self.links.push(Link {
                    address: match shows_itself {
                        true => String::new(),
                        false => dest_url.into_string(),
                    },
                    first: self.spans.len(),
                });
                self.link_role()
            }
            Tag::Image { dest_url, .. } => {
                self.links.push(Link {
                    address: dest_url.into_string(),
                    first: self.spans.len(),
                });
                self.link_role()
            }
            _ => self.role(),
        };
        self.roles.push(role);
    }

    fn link_role(&self) -> Role {
        match self.role() {
            Role::Strong => Role::Strong,
            _ => Role::Link,
        }
    }

    pub fn end(&mut self, end: TagEnd, range: Range<usize>) {
        self.roles.pop();
        if matches!(end, TagEnd::Link | TagEnd::Image)
            && let Some(link) = self.links.pop()
        {
            self.link_address(&link, range);
        }
    }

    /// Appends the address of a link to its text, unless they are equal.
    fn link_address(&mut self, link: &Link, range: Range<usize>) {
        let words: String = self.spans[link.first.min(self.spans.len())..]
            .iter()
            .map(|span| span.text(self.text))
            .collect();
        if link.address.is_empty() || words == link.address {
            return;
        }
        self.spans.push(Span::Made(" (", Role::Dim));
        match self.text[range.clone()].rfind(&link.address) {
            Some(at) => {
                let start = range.start + at;
                let source = start..start + link.address.len();
                self.spans.push(Span::Source(source, Role::Dim));
            }
            None => self.replaced(range.end..range.end, &link.address, Role::Dim),
        }
        self.spans.push(Span::Made(")", Role::Dim));
    }

    /// Text of the source, in which addresses are links.
    fn words(&mut self, range: Range<usize>) {
        let mut at = range.start.max(self.written);
        while at < range.end {
            let first = self.addresses.partition_point(|address| address.end <= at);
            let address = self
                .addresses
                .get(first)
                .filter(|address| address.start < range.end)
                .cloned();
            let Some(address) = address else { break };
            self.source(at..address.start.max(at));
            self.spans.push(Span::Source(address.clone(), Role::Link));
            (at, self.written) = (address.end, address.end);
        }
        if at < range.end {
            self.source(at..range.end);
        }
    }

    fn address_at(&self, at: usize) -> Option<&Range<usize>> {
        let first = self.addresses.partition_point(|address| address.end <= at);
        self.addresses
            .get(first)
            .filter(|address| address.contains(&at))
    }

    fn code(&mut self, code: &str, range: Range<usize>) {
        match self.text[range.clone()].find(code) {
            Some(at) if !code.is_empty() => {
                let start = range.start + at;
                self.spans
                    .push(Span::Source(start..start + code.len(), Role::Code));
            }
            _ => self.replaced(range, code, Role::Code),
        }
    }

    /// Text that the source spells differently, such as `&amp;`.
    fn replaced(&mut self, range: Range<usize>, text: &str, role: Role) {
        self.spans
            .push(Span::Replaced(range, text.to_owned(), role));
    }
}

/// The ranges of bare URLs in a text.
fn addresses(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, _) in text.match_indices("http") {
        let rest = &text[start..];
        let within = text[..start]
            .chars()
            .next_back()
            .is_some_and(char::is_alphanumeric);
        let begins = rest.starts_with("https://") || rest.starts_with("http://");
        if within || !begins || found.last().is_some_and(|last| last.end > start) {
            continue;
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`' | '|');
        let end = rest.find(ends).unwrap_or(rest.len());
        let address =
            rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '*', '\'']);
        found.push(start..start + address.len());
    }
    found
}
