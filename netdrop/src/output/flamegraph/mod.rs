//! A flame graph of the drops' call chains: one SVG that needs nothing else, to be zoomed and searched in a browser.
//!
//! The way up is the way of a packet: at the bottom who began the work, at the tip the function that dropped. Tips have the colour of their
//! class of loss; the width is the number of drops.

mod tree;

use std::fmt::Write as _;

use super::escape::markup;
use super::stacks::Stacks;
use super::{Output, append};
use crate::knowledge::Class;
use crate::model::{Drop, Host, Summary};
use crate::output::report::{headline, share};
use crate::units::thousands;
use tree::{Frame, Tree};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The picture's width, in its own units; it scales with the window.
const WIDTH: f64 = 1200.0;
/// Left and right of the frames.
const MARGIN: f64 = 12.0;
/// A frame's height.
const HEIGHT: f64 = 20.0;
/// Above the frames: title, numbers, legend.
const HEAD: f64 = 92.0;
/// Below them: the line that explains the frame under the pointer.
const FOOT: f64 = 34.0;
/// A frame narrower than this can't be seen, and isn't drawn; its drops are in the frame below it.
const LEAST_WIDTH: f64 = 0.2;

/// The flame graph format. Nothing is written before the end.
#[derive(Debug, Default)]
pub struct FlameGraph {
    stacks: Stacks,
    hosts: Vec<Host>,
}

impl FlameGraph {
    /// What was counted.
    pub fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    /// Whose drops they are.
    pub fn on(&mut self, hosts: &[Host]) {
        self.hosts = hosts.to_vec();
    }

    fn subtitle(&self, end: &Summary) -> String {
        let mut text = headline(end);
        for host in &self.hosts {
            let _ = write!(text, "  {} {}", host.name, host.kernel);
        }
        let total = self.stacks.total();
        if total < end.accounts.passed() {
            let _ = write!(text, "  Shown: {}, by sampled details.", thousands(total));
        }
        text
    }
}

impl Output for FlameGraph {
    fn drop(&mut self, drop: &Drop<'_>, _: &mut Vec<u8>) {
        self.stacks.add(drop);
    }

    fn summary(&mut self, _: &Summary, _: &mut Vec<u8>) {}

    fn end(&mut self, end: &Summary, out: &mut Vec<u8>) {
        let tree = Tree::of(&self.stacks);
        let frames = tree.frames();
        let total = tree.total();
        let scale = (WIDTH - 2.0 * MARGIN) / float(total.max(1));
        let drawn: Vec<&Frame<'_>> =
            frames.iter().filter(|frame| float(frame.count) * scale >= LEAST_WIDTH).collect();
        let levels = drawn.iter().map(|frame| frame.depth + 1).max().unwrap_or(1);
        let height = HEAD + float(levels as u64) * HEIGHT + FOOT;
        append(
            out,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"100%\" preserveAspectRatio=\"xMidYMin meet\" role=\"img\" \
                 aria-labelledby=\"title\" data-total=\"{total}\" data-width=\"{WIDTH}\" data-margin=\"{MARGIN}\">\n\
                 <style>{STYLE}</style>\n\
                 <rect id=\"paper\" width=\"100%\" height=\"100%\"/>\n\
                 <text id=\"title\" x=\"{MARGIN}\" y=\"28\">Where packets were dropped</text>\n\
                 <text id=\"subtitle\" x=\"{MARGIN}\" y=\"48\">{}</text>\n\
                 <g id=\"reset\" class=\"button\" tabindex=\"0\" role=\"button\" transform=\"translate(988 12)\">\
                 <rect width=\"96\" height=\"24\" rx=\"5\"/><text x=\"48\" y=\"16\">Reset zoom</text></g>\n\
                 <g id=\"search\" class=\"button\" tabindex=\"0\" role=\"button\" transform=\"translate(1092 12)\">\
                 <rect width=\"96\" height=\"24\" rx=\"5\"/><text x=\"48\" y=\"16\">Search  /</text></g>\n",
                markup(&self.subtitle(end)),
            ),
        );
        legend(&drawn, out);
        out.extend_from_slice(b"<g id=\"frames\">\n");
        for frame in drawn {
            push_frame(frame, total, scale, height, out);
        }
        append(
            out,
            format_args!(
                "</g>\n<text id=\"about\" x=\"{MARGIN}\" y=\"{}\"></text>\n\
                 <text id=\"found\" x=\"{}\" y=\"{}\"></text>\n<script><![CDATA[{SCRIPT}]]></script>\n</svg>\n",
                height - 12.0,
                WIDTH - MARGIN,
                height - 12.0,
            ),
        );
    }
}

/// The classes that tips have.
fn legend(frames: &[&Frame<'_>], out: &mut Vec<u8>) {
    let mut x = MARGIN;
    for class in Class::ALL.into_iter().filter(|class| frames.iter().any(|frame| frame.tip == Some(*class))) {
        append(
            out,
            format_args!(
                "<g class=\"key\"><rect class=\"{class}\" x=\"{x}\" y=\"62\" width=\"12\" height=\"12\" rx=\"3\"/>\
                 <text x=\"{}\" y=\"72\">{class}</text></g>\n",
                x + 17.0
            ),
        );
        x += 40.0 + 7.0 * float(class.as_str().len() as u64);
    }
}

fn push_frame(frame: &Frame<'_>, total: u64, scale: f64, height: f64, out: &mut Vec<u8>) {
    let x = MARGIN + float(frame.start) * scale;
    let y = height - FOOT - float(frame.depth as u64 + 1) * HEIGHT;
    let class = match frame.tip {
        Some(class) => class.as_str().to_owned(),
        None => format!("way{}", tint(frame.name)),
    };
    let width = float(frame.count) * scale;
    append(
        out,
        format_args!(
            "<g class=\"frame {class}\" tabindex=\"0\" data-start=\"{}\" data-count=\"{}\" data-depth=\"{}\">\
             <title>{}: {} drops, {}</title>\
             <rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{}\" rx=\"2\"/>\
             <text x=\"{:.2}\" y=\"{}\">{}</text></g>\n",
            frame.start,
            frame.count,
            frame.depth,
            markup(frame.name),
            thousands(frame.count),
            markup(&share(frame.count, total)),
            HEIGHT - 1.0,
            x + 5.0,
            y + 14.0,
            markup(&fitting(frame.name, width)),
        ),
    );
}

/// As much of the name as has room; the script does the same after a zoom.
fn fitting(name: &str, width: f64) -> String {
    /// A letter's width in the style's font.
    const LETTER: f64 = 7.0;
    let room = ((width - 8.0) / LETTER).floor();
    let letters = name.chars().count();
    if room >= float(letters as u64) {
        return name.to_owned();
    }
    let kept = (0..letters).take_while(|kept| float(*kept as u64 + 2) <= room).count();
    if kept < 2 { String::new() } else { name.chars().take(kept).chain(['…']).collect() }
}

/// The same function has the same tint everywhere.
fn tint(name: &str) -> u32 {
    name.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % 4
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, written};
    use super::*;
    use crate::model::Context;

    fn picture(chains: &[(&[&str], u64)]) -> String {
        let mut graph = FlameGraph::default();
        graph.on(&[Host { name: "web<1>".into(), kernel: "6.12.9".into() }]);
        let parts = samples::udp();
        for (chain, weight) in chains {
            let stack: Vec<String> = chain.iter().map(|frame| (*frame).to_owned()).collect();
            let context = Context { stack: &stack, ..Context::default() };
            graph.drop(&Drop { context, ..parts.drop(*weight) }, &mut Vec::new());
        }
        written(|out| graph.end(&samples::end(), out))
    }

    fn frames(picture: &str) -> Vec<&str> {
        picture.lines().filter(|line| line.starts_with("<g class=\"frame")).collect()
    }

    #[test]
    fn frames_stand_on_each_other() {
        let picture = picture(&[(&["b+0x1", "a+0x2"], 3), (&["c+0x9", "a+0x2"], 1)]);
        let place = |name: &str| {
            let frame = frames(&picture).into_iter().find(|frame| frame.contains(&format!("<title>{name}:")));
            let frame = frame.unwrap_or_else(|| panic!("no {name} in {picture}"));
            let number = |key: &str| {
                let (_, rest) = frame.split_once(&format!("data-{key}=\"")).unwrap();
                rest.split_once('"').unwrap().0.parse::<u64>().unwrap()
            };
            (number("depth"), number("start"), number("count"))
        };
        assert_eq!(
            [place("all"), place("a"), place("b"), place("c")],
            [(0, 0, 4), (1, 0, 4), (2, 0, 3), (2, 3, 1)]
        );
        assert!(picture.contains("<title>b: 3 drops, 75.0%</title>"));
        assert!(picture.contains("class=\"frame no-receiver\"") && picture.contains(">no-receiver</text>"));
    }

    #[test]
    fn hostile_names_are_text() {
        let picture = picture(&[(&["</title><script>alert(1)</script>\u{1b}+0x1", "]]>&\"'+0x2"], 3)]);
        assert_eq!(picture.matches("<script>").count(), 1, "the picture's own alone");
        assert!(picture.contains("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}: 3 drops"));
        assert!(picture.contains("]]&gt;&amp;&quot;': 3 drops") && picture.contains("web&lt;1&gt; 6.12.9"));
    }

    #[test]
    fn what_cant_be_seen_is_not_drawn() {
        let picture = picture(&[(&["b", "a"], 1_000_000), (&["c", "a"], 1)]);
        assert_eq!(frames(&picture).len(), 3);
        assert!(picture.contains("data-total=\"1000001\""));
    }

    #[test]
    fn small_shares_are_text_too() {
        let picture = picture(&[(&["b", "a"], 2000), (&["c", "a"], 1)]);
        assert!(picture.contains("<title>c: 1 drops, &lt;0.1%</title>"), "{picture}");
    }

    #[test]
    fn nothing_dropped_is_a_picture_too() {
        let picture = written(|out| FlameGraph::default().end(&Summary::default(), out));
        assert!(picture.starts_with("<svg") && picture.contains("No drops in 0 s."));
    }

    #[rstest::rstest]
    #[case("ip_rcv", 50.0, "ip_rcv")]
    #[case("ip_rcv", 49.0, "ip_r…")]
    #[case("ip_rcv", 28.0, "")]
    fn names_are_cut_to_their_room(#[case] name: &str, #[case] width: f64, #[case] text: &str) {
        assert_eq!(fitting(name, width), text);
    }

    #[test]
    fn it_asks_nobody_for_anything() {
        let picture = picture(&[(&["b"], 1)]).replace("http://www.w3.org/2000/svg", "");
        assert!(!picture.contains("http") && !picture.contains("url(") && !picture.contains("@import"));
    }
}
