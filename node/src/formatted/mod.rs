//! From the Markdown of a message to a small tree: parsed once here, so that every window shows the same and none makes HTML.
//!
//! The parser is that of CommonMark (`pulldown-cmark`); what `docs/spec/messages.md` does not name of it (headings, HTML, images,
//! rules, references) stands in the tree as it was written. Text of others is hostile: depth and number of spans are bounded,
//! time is linear in the length, and links lead to `http`, `https` and `mailto` only. No text is lost: what is not understood, or
//! beyond a bound, is text.

mod links;
#[cfg(test)]
mod tests;

use std::ops::Range;

use parlor_api::{Block, Span};
use parlor_proto::body::mention;
use parlor_proto::limits::MAX_SHOWN_MENTIONS;
use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag};

/// Deepest nesting of blocks and spans.
const DEPTH_MAX: usize = 8;
/// Spans and blocks of one text: events with it are kept by the thousand.
const SPANS_MAX: usize = 200;
/// How often definitions of references, which would vanish, are made text: each time all that are seen.
const ROUNDS: usize = 4;
/// Longest name of a language.
const LANGUAGE_MAX: usize = 32;

/// Finds who is meant by the number of a mention: account and name.
pub(crate) type Named<'a> = &'a dyn Fn(usize) -> Option<(String, String)>;

/// The tree of a text with its tokens of mentions, as it was sent; `None` if there is nothing to format.
pub(crate) fn formatted(text: &str, named: Named<'_>) -> Option<Vec<Block>> {
    if !may_say_something(text) {
        return None;
    }
    let source = without_definitions(text)?;
    let blocks = Builder::new(&source, named).build();
    let plain = |block: &Block| match block {
        Block::Paragraph { spans } => spans.iter().all(|span| matches!(span, Span::Text { .. })),
        Block::Code { .. } | Block::Quote { .. } | Block::List { .. } => false,
    };
    // Without escapes, what shows as it was written needs no tree.
    let as_written = blocks.iter().all(plain) && !source.contains(['\\', '&']);
    (!as_written).then_some(blocks)
}

/// Whether anything of a text could be Markdown, or somebody named.
fn may_say_something(text: &str) -> bool {
    let begins =
        |line: &str| line.trim_start().starts_with(|c: char| matches!(c, '>' | '-' | '+') || c.is_ascii_digit());
    text.contains(['*', '_', '~', '`', '<', '[', '\\', '&', ':']) || text.lines().any(begins)
}

/// The text with definitions of references escaped: a parser would take them out. `None` if that does not end.
fn without_definitions(text: &str) -> Option<String> {
    let mut source = text.to_owned();
    for _ in 0..ROUNDS {
        let parser = Parser::new_ext(&source, options());
        let mut starts: Vec<usize> = parser.reference_definitions().iter().map(|(_, found)| found.span.start).collect();
        drop(parser);
        if starts.is_empty() {
            return Some(source);
        }
        starts.sort_unstable();
        let mut escaped = String::with_capacity(source.len() + starts.len());
        let mut from = 0;
        for start in starts {
            escaped.push_str(source.get(from..start)?);
            escaped.push('\\');
            from = start;
        }
        escaped.push_str(source.get(from..)?);
        source = escaped;
    }
    None
}

fn options() -> Options {
    Options::ENABLE_STRIKETHROUGH
}

/// What is being built, from the outside in.
enum Frame {
    /// Of a quote, or the whole.
    Blocks(Vec<Block>),
    List {
        start: Option<u64>,
        items: Vec<Vec<Block>>,
    },
    Item(Vec<Block>),
    /// `implied`: nobody began it, as in a list without blank lines.
    Paragraph {
        spans: Vec<Span>,
        implied: bool,
    },
    Styled(Style, Vec<Span>),
    Code {
        language: String,
        text: String,
    },
    /// Code that was only indented, which is text here.
    Indented(String),
}

enum Style {
    Bold,
    Italic,
    Strike,
    Link(String),
}

struct Builder<'a> {
    source: &'a str,
    named: Named<'a>,
    frames: Vec<Frame>,
    spans: usize,
    mentions: usize,
}

impl<'a> Builder<'a> {
    fn new(source: &'a str, named: Named<'a>) -> Self {
        Self { source, named, frames: vec![Frame::Blocks(Vec::new())], spans: 0, mentions: 0 }
    }

    fn build(mut self) -> Vec<Block> {
        let mut events = Parser::new_ext(self.source, options()).into_offset_iter();
        while let Some((event, range)) = events.next() {
            if self.spans >= SPANS_MAX && !matches!(event, Event::End(_)) {
                self.rest(range.start);
                break;
            }
            match event {
                Event::Start(tag) => {
                    let block = is_block(&tag);
                    match self.frame(tag) {
                        Some(frame) => self.begin(frame),
                        None => {
                            self.raw(&range, block);
                            skip(&mut events);
                        }
                    }
                }
                Event::End(_) => self.end(),
                Event::Text(text) => self.text(&text),
                Event::Code(text) => {
                    let text = self.with_names(&text);
                    self.span(Span::Code { text });
                }
                Event::SoftBreak | Event::HardBreak => self.text("\n"),
                Event::Rule => self.raw(&range, true),
                // HTML in a line, and what is not asked for.
                _ => self.raw(&range, false),
            }
        }
        while self.frames.len() > 1 {
            self.end_one();
        }
        match self.frames.pop() {
            Some(Frame::Blocks(blocks)) => blocks,
            _ => Vec::new(),
        }
    }

    /// What begins here; `None` for what stands there as it was written.
    fn frame(&self, tag: Tag<'_>) -> Option<Frame> {
        let nests = !matches!(tag, Tag::Paragraph | Tag::Item);
        if nests && self.depth() >= DEPTH_MAX {
            return None;
        }
        let styled = |style| Some(Frame::Styled(style, Vec::new()));
        match tag {
            Tag::Paragraph => Some(Frame::Paragraph { spans: Vec::new(), implied: false }),
            Tag::BlockQuote(_) => Some(Frame::Blocks(Vec::new())),
            Tag::List(start) => Some(Frame::List { start, items: Vec::new() }),
            Tag::Item => Some(Frame::Item(Vec::new())),
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                let (language, text) = behind_fence(&info);
                Some(Frame::Code { language, text })
            }
            Tag::CodeBlock(CodeBlockKind::Indented) => Some(Frame::Indented(String::new())),
            Tag::Strong => styled(Style::Bold),
            Tag::Emphasis => styled(Style::Italic),
            Tag::Strikethrough => styled(Style::Strike),
            Tag::Link { link_type, dest_url, .. } => {
                let url = match link_type {
                    LinkType::Email => format!("mailto:{dest_url}"),
                    LinkType::Inline | LinkType::Autolink => dest_url.into_string(),
                    _ => return None,
                };
                if links::is_safe(&url) { styled(Style::Link(url)) } else { None }
            }
            _ => None,
        }
    }

    fn begin(&mut self, frame: Frame) {
        if matches!(frame, Frame::Styled(..)) {
            self.need_paragraph();
        } else {
            self.end_implied();
        }
        self.spans += 1;
        self.frames.push(frame);
    }

    /// A span stands in a paragraph.
    fn need_paragraph(&mut self) {
        if let Some(Frame::Blocks(_) | Frame::Item(_) | Frame::List { .. }) = self.frames.last() {
            self.frames.push(Frame::Paragraph { spans: Vec::new(), implied: true });
        }
    }

    /// A paragraph that nobody began is ended by nobody: by what begins or ends beside it.
    fn end_implied(&mut self) {
        if let Some(Frame::Paragraph { implied: true, .. }) = self.frames.last() {
            self.end_one();
        }
    }

    /// Ends what was begun last.
    fn end(&mut self) {
        self.end_implied();
        if self.frames.len() > 1 {
            self.end_one();
        }
    }

    fn end_one(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        match frame {
            Frame::Paragraph { spans, .. } => {
                let spans = self.dressed(spans);
                if !spans.is_empty() {
                    self.block(Block::Paragraph { spans });
                }
            }
            Frame::Styled(style, spans) => {
                let spans = match style {
                    Style::Link(_) => self.without_links(spans),
                    _ => self.dressed(spans),
                };
                self.frames_span(match style {
                    Style::Bold => Span::Bold { spans },
                    Style::Italic => Span::Italic { spans },
                    Style::Strike => Span::Strike { spans },
                    Style::Link(url) => Span::Link { url, spans },
                });
            }
            Frame::Code { language, text } => {
                let text = self.with_names(text.strip_suffix('\n').unwrap_or(&text));
                self.block(Block::Code { language, text });
            }
            Frame::Indented(text) => {
                let spans = self.dressed(vec![Span::Text { text: text.trim_end().to_owned() }]);
                self.block(Block::Paragraph { spans });
            }
            Frame::Blocks(blocks) => self.block(Block::Quote { blocks }),
            Frame::List { start, items } => {
                self.block(Block::List { ordered: start.is_some(), start: start.unwrap_or(1), items });
            }
            Frame::Item(blocks) => match self.frames.last_mut() {
                Some(Frame::List { items, .. }) => items.push(blocks),
                _ => blocks.into_iter().for_each(|block| self.block(block)),
            },
        }
    }

    fn block(&mut self, block: Block) {
        match self.frames.last_mut() {
            Some(Frame::Blocks(blocks) | Frame::Item(blocks)) => blocks.push(block),
            Some(Frame::List { items, .. }) => items.push(vec![block]),
            // A block in a paragraph does not happen; if it did, it would follow it.
            _ => {
                if let Some(Frame::Blocks(blocks)) = self.frames.first_mut() {
                    blocks.push(block);
                }
            }
        }
    }

    /// Text where it stands.
    fn text(&mut self, text: &str) {
        match self.frames.last_mut() {
            Some(Frame::Code { text: code, .. } | Frame::Indented(code)) => code.push_str(text),
            _ => self.span(Span::Text { text: text.to_owned() }),
        }
    }

    /// What was written, as it was.
    fn raw(&mut self, range: &Range<usize>, block: bool) {
        let text = self.source.get(range.clone()).unwrap_or_default();
        if !block {
            return self.text(text);
        }
        self.end_implied();
        let spans = self.dressed(vec![Span::Text { text: text.trim_end().to_owned() }]);
        self.spans += 2;
        self.block(Block::Paragraph { spans });
    }

    /// What follows a bound is text.
    fn rest(&mut self, from: usize) {
        while self.frames.len() > 1 {
            self.end_one();
        }
        let text = self.with_names(self.source.get(from..).unwrap_or_default());
        self.block(Block::Paragraph { spans: vec![Span::Text { text }] });
    }

    fn span(&mut self, span: Span) {
        self.need_paragraph();
        self.frames_span(span);
    }

    fn frames_span(&mut self, span: Span) {
        self.need_paragraph();
        let Some(Frame::Paragraph { spans, .. } | Frame::Styled(_, spans)) = self.frames.last_mut() else { return };
        match (spans.last_mut(), span) {
            (Some(Span::Text { text: before }), Span::Text { text }) => before.push_str(&text),
            (_, span) => {
                spans.push(span);
                self.spans += 1;
            }
        }
    }

    /// The spans with names in place of tokens, and links where addresses stand, unless they are in a link.
    fn dressed(&mut self, spans: Vec<Span>) -> Vec<Span> {
        let linked = self.frames.iter().any(|frame| matches!(frame, Frame::Styled(Style::Link(_), _)));
        if linked {
            return self.without_links(spans);
        }
        let mut dressed = Vec::with_capacity(spans.len());
        for span in self.without_links(spans) {
            match span {
                Span::Text { text } => {
                    // A link is a span with one in it, and parts the text around it.
                    let budget = SPANS_MAX.saturating_sub(self.spans) / 3;
                    self.spans += 3 * links::split(&text, budget, &mut dressed);
                }
                other => dressed.push(other),
            }
        }
        dressed
    }

    fn without_links(&mut self, spans: Vec<Span>) -> Vec<Span> {
        let mut dressed = Vec::with_capacity(spans.len());
        for span in spans {
            let Span::Text { text } = span else {
                dressed.push(span);
                continue;
            };
            let mut rest = text.as_str();
            while let Some((before, number, after)) = mention::next(rest) {
                let whom = (self.named)(number).filter(|_| self.mentions < MAX_SHOWN_MENTIONS);
                let Some((account, name)) = whom else {
                    // A token that names nobody is text, and so is what follows it up to the next.
                    let len = rest.len() - after.len();
                    links::push_text(&mut dressed, rest.get(..len).unwrap_or_default());
                    rest = after;
                    continue;
                };
                links::push_text(&mut dressed, before);
                if self.spans < SPANS_MAX {
                    dressed.push(Span::Mention { account, name });
                    self.spans += 2;
                } else {
                    links::push_text(&mut dressed, &format!("@{name}"));
                }
                self.mentions += 1;
                rest = after;
            }
            links::push_text(&mut dressed, rest);
        }
        dressed
    }

    /// Text with names in place of tokens, for code.
    fn with_names(&mut self, text: &str) -> String {
        let spans = self.without_links(vec![Span::Text { text: text.to_owned() }]);
        let word = |span| match span {
            Span::Text { text } => text,
            Span::Mention { name, .. } => format!("@{name}"),
            _ => String::new(),
        };
        spans.into_iter().map(word).collect()
    }

    fn depth(&self) -> usize {
        let nests = |frame: &&Frame| matches!(frame, Frame::Blocks(_) | Frame::List { .. } | Frame::Styled(..));
        // The whole is no level.
        self.frames.iter().filter(nests).count() - 1
    }
}

/// Whether it stands on lines of its own.
fn is_block(tag: &Tag<'_>) -> bool {
    !matches!(
        tag,
        Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Link { .. }
            | Tag::Image { .. }
            | Tag::Superscript
            | Tag::Subscript
    )
}

/// Passes over the rest of what has just begun.
fn skip<'e>(events: &mut impl Iterator<Item = (Event<'e>, Range<usize>)>) {
    let mut open = 1_usize;
    for (event, _) in events {
        match event {
            Event::Start(_) => open += 1,
            Event::End(_) => open -= 1,
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

/// The name of a language, of what stands behind the fence, and what else stands there: a line of the text, for no word is lost.
fn behind_fence(info: &str) -> (String, String) {
    let info = info.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "+#._-".contains(c);
    let is_language = |word: &str| word.len() <= LANGUAGE_MAX && word.chars().all(plain);
    let (language, rest) = info.split_once(char::is_whitespace).unwrap_or((info, ""));
    let (language, rest) = if is_language(language) { (language, rest) } else { ("", info) };
    let line = if rest.is_empty() { String::new() } else { format!("{}\n", rest.trim()) };
    (language.to_owned(), line)
}
