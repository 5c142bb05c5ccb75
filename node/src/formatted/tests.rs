//! What formatting promises: the subset and nothing else, nothing lost, nothing unsafe, and bounds that hold for any text.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn nobody(_: usize) -> Option<(String, String)> {
    None
}

fn ann(number: usize) -> Option<(String, String)> {
    (number == 0).then(|| ("a1".to_owned(), "Ann".to_owned()))
}

fn tree(text: &str) -> Value {
    formatted(text, &ann).map_or(Value::Null, |blocks| serde_json::to_value(blocks).unwrap())
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn paragraph(spans: Value) -> Value {
    json!([{"type": "paragraph", "spans": spans}])
}

#[test]
fn what_says_nothing_in_markdown_has_no_tree() {
    for plain in [
        "",
        "Hello",
        "two\nlines",
        "a\n\n\nb",
        "1.5 or 2",
        "3 - 2",
        "half past 7:30",
        "a_b_c",
        "5 * 3",
        "x < y",
        "#1 is best",
        "# no heading",
        "---",
        "| a | b |",
        "Title\n=====",
        "![no](image.png)",
        "<b>no</b>",
        "<!-- no -->",
        "    indented",
        "[no link]",
        "[a][b]",
        "<@1>",
        "<@",
        "C:\\temp",
        "smile :)",
    ] {
        let found = formatted(plain, &ann);
        let lost = found.as_ref().is_some_and(|blocks| said(blocks) != plain);
        assert!(!lost, "{plain}: {found:?}");
        assert!(found.is_none() || plain.contains('\\'), "{plain}: {found:?}");
    }
}

#[test]
fn the_subset_becomes_a_tree() {
    let cases = [
        ("**b**", paragraph(json!([{"type": "bold", "spans": [text("b")]}]))),
        (
            "an *i* and ~~s~~",
            paragraph(json!([
                text("an "), {"type": "italic", "spans": [text("i")]}, text(" and "), {"type": "strike", "spans": [text("s")]},
            ])),
        ),
        ("`let <@0>`", paragraph(json!([{"type": "code", "text": "let @Ann"}]))),
        (
            "```rust x\nfn a() {}\n\n  b\n```",
            json!([{"type": "code", "language": "rust", "text": "x\nfn a() {}\n\n  b"}]),
        ),
        ("> said\n> so", json!([{"type": "quote", "blocks": paragraph(json!([text("said\nso")]))}])),
        (
            "- a\n- **b**",
            json!([{"type": "list", "ordered": false, "start": 1, "items": [
                paragraph(json!([text("a")])), paragraph(json!([{"type": "bold", "spans": [text("b")]}])),
            ]}]),
        ),
        (
            "3. a\n4. b",
            json!([{"type": "list", "ordered": true, "start": 3, "items": [
                paragraph(json!([text("a")])), paragraph(json!([text("b")])),
            ]}]),
        ),
        ("hi <@0>!", paragraph(json!([text("hi "), {"type": "mention", "account": "a1", "name": "Ann"}, text("!")]))),
        (
            "[a *b*](https://x.example/y)",
            paragraph(json!([{"type": "link", "url": "https://x.example/y", "spans": [
                text("a "), {"type": "italic", "spans": [text("b")]},
            ]}])),
        ),
        (
            "see https://x.example/(a), ok",
            paragraph(json!([
                text("see "), {"type": "link", "url": "https://x.example/(a)", "spans": [text("https://x.example/(a)")]}, text(", ok"),
            ])),
        ),
        (
            "<https://x.example> <a@b.example>",
            paragraph(json!([
                {"type": "link", "url": "https://x.example", "spans": [text("https://x.example")]}, text(" "),
                {"type": "link", "url": "mailto:a@b.example", "spans": [text("a@b.example")]},
            ])),
        ),
        ("\\*plain\\*", paragraph(json!([text("*plain*")]))),
        (
            "# <@0> **x**",
            paragraph(json!([text("# "), {"type": "mention", "account": "a1", "name": "Ann"}, text(" **x**")])),
        ),
    ];
    for (source, wanted) in cases {
        assert_eq!(tree(source), wanted, "{source}");
    }
}

#[test]
fn links_lead_to_the_web_and_to_mail_only() {
    for bad in [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,x)",
        "[x](file:///etc/passwd)",
        "[x](vbscript:x)",
        "<javascript:alert(1)>",
        "[x](//evil.example)",
        "[x](/api/v1/stop)",
        "[x](https:x)",
        "[x](https://a\u{202e}b)",
        "[x](&#106;avascript:alert(1))",
        "[x](\u{1}javascript:alert(1))",
        "[x](java\tscript:alert(1))",
        "[x]( javascript:alert(1))",
        "[x](parlor://join/1/x)",
        "[x](https://)",
        "javascript:alert(1)",
    ] {
        let found = tree(bad).to_string();
        assert!(!found.contains("\"link\""), "{bad}: {found}");
    }
    let inside = tree("[x](blob:https://x)").to_string();
    assert!(inside.matches("\"url\"").count() == 1 && inside.contains("\"url\":\"https://x\""), "{inside}");
    let long = format!("https://x.example/{}", "a".repeat(4_096));
    assert!(!tree(&long).to_string().contains("\"link\""));
    assert!(tree("[x](HTTPS://x.example)").to_string().contains("\"link\""));
    let nested = tree("[a https://b.example](https://c.example)").to_string();
    assert_eq!(nested.matches("\"link\"").count(), 1, "no link in a link: {nested}");
}

#[test]
fn definitions_of_references_do_not_hide_what_was_written() {
    for hiding in ["[a]: /x 'secret'", "> [a]: /x\n\n[b]: <y>\n[b]: z", "[a]:\nsecret", "- [q]: secret"] {
        let shown = formatted(hiding, &nobody).map_or_else(|| hiding.to_owned(), |blocks| said(&blocks));
        for word in ["secret", "[a]", "z"].iter().filter(|word| hiding.contains(**word)) {
            assert!(shown.contains(word), "{hiding}: {shown}");
        }
    }
}

#[test]
fn hostile_texts_stay_within_bounds() {
    let most = 20_480;
    let fill = |unit: &str| unit.repeat(most / unit.len());
    for hostile in [
        fill(">"),
        fill("> "),
        fill("- "),
        fill("1. "),
        fill("* a\n"),
        fill("*"),
        fill("**a "),
        fill("*a_ "),
        fill("~~"),
        fill("`"),
        fill("`a``"),
        fill("["),
        fill("[a]("),
        fill("![a]("),
        fill("[a](<b"),
        fill("<"),
        fill("<!--"),
        fill("<@0>"),
        fill("<@0> **a** "),
        fill("https://a.b "),
        fill("https://("),
        fill("a:"),
        fill("\\"),
        fill("&#x202e;"),
        fill("[a]: b\n"),
        fill("[a]: b\n[c]: d\n\n"),
        fill("```\n"),
        fill("\t- "),
        fill("*a **b ~~c `d` "),
        fill("[a](https://b.c) "),
        fill("\u{202e}"),
        format!("{}{}", "http://".repeat(1_460), ".".repeat(10_000)),
        fill("<@"),
        fill("é*"),
        fill("\r\n> "),
    ] {
        if let Some(blocks) = formatted(&hostile, &ann) {
            holds(&blocks);
        }
    }
}

/// Checks the bounds of a tree.
fn holds(blocks: &[Block]) {
    let json = serde_json::to_string(blocks).unwrap();
    assert!(json.len() < 150_000, "{}", json.len());
    let (spans, depth) = (json.matches("\"type\"").count(), deepest(blocks));
    assert!(spans <= 2 * SPANS_MAX + 64, "{spans}");
    assert!(depth <= DEPTH_MAX + 1, "{depth}");
    // What a client reads has to be read by ours, too.
    assert_eq!(serde_json::from_str::<Vec<Block>>(&json).unwrap(), blocks);
}

fn deepest(blocks: &[Block]) -> usize {
    let of = |block: &Block| match block {
        Block::Paragraph { spans } => deepest_span(spans),
        Block::Code { .. } => 0,
        Block::Quote { blocks } => 1 + deepest(blocks),
        Block::List { items, .. } => 1 + items.iter().map(|item| deepest(item)).max().unwrap_or(0),
    };
    blocks.iter().map(of).max().unwrap_or(0)
}

fn deepest_span(spans: &[Span]) -> usize {
    let of = |span: &Span| match span {
        Span::Bold { spans } | Span::Italic { spans } | Span::Strike { spans } | Span::Link { spans, .. } => {
            1 + deepest_span(spans)
        }
        Span::Text { .. } | Span::Code { .. } | Span::Mention { .. } => 0,
    };
    spans.iter().map(of).max().unwrap_or(0)
}

/// All text of a tree.
fn said(blocks: &[Block]) -> String {
    fn spans_say(spans: &[Span]) -> String {
        spans
            .iter()
            .map(|span| match span {
                Span::Text { text } | Span::Code { text } => text.clone(),
                Span::Mention { name, .. } => format!("@{name}"),
                Span::Bold { spans } | Span::Italic { spans } | Span::Strike { spans } => spans_say(spans),
                Span::Link { spans, url } => format!("{}{url}", spans_say(spans)),
            })
            .collect()
    }
    let say = |block: &Block| match block {
        Block::Paragraph { spans } => spans_say(spans),
        Block::Code { text, language } => format!("{language}{text}"),
        Block::Quote { blocks } => said(blocks),
        Block::List { items, start, .. } => {
            format!("{start}{}", items.iter().map(|item| said(item)).collect::<String>())
        }
    };
    blocks.iter().map(say).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_stands_behind_a_fence_and_is_no_language_is_said_too() {
    for (source, language, text) in [
        ("```rust\nfn", "rust", "fn"),
        ("```rust ignore\nfn", "rust", "ignore\nfn"),
        ("~~~https://x yz", "", "https://x yz"),
    ] {
        let blocks = formatted(source, &nobody).unwrap();
        let [Block::Code { language: said, text: code }] = &blocks[..] else { panic!("{source} is code") };
        assert_eq!((said.as_str(), code.trim_end()), (language, text), "{source}");
    }
}

/// Letters and digits in order: what is left of a text without its marks.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_formatted_within_bounds(source in "([*_~`<>@0-9a-z()\\[\\]!#|:/&;\\\\ \\n\\t-]|https://|<@0>|```|\\n\\n|> |- |\\[a\\]: ){0,120}") {
        if let Some(blocks) = formatted(&source, &ann) {
            holds(&blocks);
        }
    }

    #[test]
    fn no_word_is_lost(source in "([*_~`>()\\[\\]!#|\\\\ \\n-]|[a-z]{1,4}|https://x.yz|\\n\\n|> |- |1. |\\[ab\\]: ){0,60}") {
        if let Some(blocks) = formatted(&source, &nobody) {
            let shown = letters(&said(&blocks));
            // An address shows as itself and counts twice here, so words are looked for in order.
            let mut rest = shown.chars();
            for wanted in letters(&source).chars() {
                prop_assert!(rest.by_ref().any(|c| c == wanted), "{source:?}: {shown} lacks {wanted}");
            }
        }
    }
}
