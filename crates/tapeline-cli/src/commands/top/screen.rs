//! How a [`View`] looks on a terminal of any size: what does not fit is cut, the most important stands first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use tapeline_schema::events::FreshnessState;

use super::super::output::{counted, grouped, shown};
use super::view::{Took, View};

/// Rows of each list where there is room.
const LISTED: usize = 10;

const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().fg(Color::DarkGray);
const WARN: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let rates = view.rates.len();
    let lists = |rows: usize| Constraint::Length(u16::try_from(rows.clamp(1, LISTED) + 2).unwrap_or(12));
    let [head, middle, channels, clients, rest] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(u16::try_from(rates + 2).unwrap_or(9)),
        lists(view.busiest.len().max(view.late.len())),
        lists(view.slowest.len()),
        Constraint::Min(0),
    ])
    .areas(frame.area());
    draw_head(frame, head, view);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(58), Constraint::Percentage(42)]).spacing(2).areas(middle);
    draw_rates(frame, left, view);
    draw_took(frame, right, view);
    let [left, right] = Layout::horizontal([Constraint::Percentage(58), Constraint::Percentage(42)])
        .spacing(2)
        .areas(channels);
    draw_busiest(frame, left, view);
    draw_late(frame, right, view);
    draw_slowest(frame, clients, view);
    draw_families(frame, rest, view);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let seconds = view.uptime.as_secs();
    let up = format!("   up {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut first = vec![Span::styled(shown(&view.title).into_owned(), HEAD), Span::styled(up, DIM)];
    if view.held {
        first.push(Span::styled("   held", WARN));
    }
    let second = match &view.trouble {
        Some(trouble) => Line::styled(shown(trouble).into_owned(), BAD),
        None => Line::from(format!(
            "{}   {}   {}   {}/s out   {} waiting",
            counted(view.connections, "connection"),
            counted(view.subscriptions, "subscription"),
            counted(view.channels, "channel"),
            bytes(view.bytes_per_second),
            bytes_of(view.waiting_bytes)
        )),
    };
    frame.render_widget(Paragraph::new(vec![Line::from(first), second]), area);
}

fn title(text: &str) -> Cell<'_> {
    Cell::from(text).style(HEAD)
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

fn right_title(text: &'static str) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned()).style(HEAD)
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.rates.iter().map(|rate| {
        let causes: Vec<String> = rate
            .causes
            .iter()
            .map(|(cause, count)| format!("{} {}", shown(cause), grouped(*count)))
            .collect();
        let style = if rate.name == "dropped" && rate.per_second > 0.0 { BAD } else { Style::new() };
        Row::new([
            Cell::from(rate.name),
            right(per_second(rate.per_second)),
            right(grouped(rate.in_all)),
            Cell::from(causes.join(", ")).style(DIM),
        ])
        .style(style)
    });
    let head = Row::new([title("messages"), right_title("a second"), right_title("in all"), Cell::from("")]);
    let widths =
        [Constraint::Length(10), Constraint::Length(11), Constraint::Length(14), Constraint::Min(10)];
    frame.render_widget(Table::new(rows, widths).header(head), area);
}

fn draw_took(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.took.iter().map(|took| {
        let Took { priority, writes, p50_us, p99_us } = took;
        Row::new([
            Cell::from(*priority),
            right(bound(*writes, *p50_us)),
            right(bound(*writes, *p99_us)),
            right(grouped(*writes)),
        ])
    });
    let head =
        Row::new([title("receipt to write"), right_title("p50"), right_title("p99"), right_title("writes")]);
    let widths = [Constraint::Min(16), Constraint::Length(9), Constraint::Length(9), Constraint::Length(9)];
    frame.render_widget(Table::new(rows, widths).header(head), area);
}

fn draw_busiest(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.busiest.iter().take(LISTED).map(|busy| {
        Row::new([
            Cell::from(shown(&busy.channel).into_owned()),
            right(per_second(busy.per_second)),
            right(grouped(busy.subscribers)),
        ])
    });
    let head = Row::new([title("busiest channels"), right_title("a second"), right_title("heard by")]);
    let widths = [Constraint::Min(20), Constraint::Length(11), Constraint::Length(9)];
    frame.render_widget(Table::new(rows, widths).header(head), area);
}

fn draw_late(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.late.iter().take(LISTED).map(|late| {
        let style = if late.state == FreshnessState::Delayed { WARN } else { BAD };
        Row::new([
            Cell::from(shown(&late.channel).into_owned()),
            Cell::from(late.state.name()).style(style),
            right(format!("{} s", late.age_ms / 1_000)),
        ])
    });
    let heading = match view.late.len() {
        0 => "no channel has gone quiet".to_string(),
        1 => "1 channel has gone quiet".to_string(),
        more => format!("{more} channels have gone quiet"),
    };
    let silent = if view.late.is_empty() { "" } else { "silent" };
    let head = Row::new([Cell::from(heading).style(HEAD), Cell::from(""), right_title(silent)]);
    let widths = [Constraint::Min(25), Constraint::Length(8), Constraint::Length(8)];
    frame.render_widget(Table::new(rows, widths).header(head), area);
}

fn draw_slowest(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.slowest.iter().map(|slow| {
        Row::new([
            Cell::from(shown(&slow.client).into_owned()),
            right(bytes_of(slow.waiting_bytes)),
            right(grouped(slow.waiting_messages)),
            right(format!("{:.1} s", seconds(slow.blocked_ms))),
            right(grouped(slow.behind)),
            right(grouped(slow.conflated)),
        ])
    });
    if view.slowest.is_empty() {
        return frame.render_widget(Line::styled("no client is slow", HEAD), area);
    }
    let head = Row::new([
        title("slowest clients"),
        right_title("waiting"),
        right_title("messages"),
        right_title("blocked"),
        right_title("behind in"),
        right_title("conflated"),
    ]);
    let widths = [
        Constraint::Min(24),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(12),
    ];
    frame.render_widget(Table::new(rows, widths).header(head), area);
}

fn draw_families(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let [list, foot] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(area);
    let rows = view.families.iter().map(|family| {
        Row::new([
            Cell::from(shown(&family.family).into_owned()),
            Cell::from(shown(&family.priority).into_owned()).style(DIM),
            right(per_second(family.published)),
            right(per_second(family.delivered)),
            right(per_second(family.conflated)),
            right(per_second(family.dropped)),
        ])
    });
    let head = Row::new([
        title("families, a second"),
        Cell::from(""),
        right_title("published"),
        right_title("delivered"),
        right_title("conflated"),
        right_title("dropped"),
    ]);
    let widths = [
        Constraint::Min(24),
        Constraint::Length(9),
        Constraint::Length(11),
        Constraint::Length(12),
        Constraint::Length(11),
        Constraint::Length(10),
    ];
    frame.render_widget(Table::new(rows, widths).header(head), list);
    if !view.incidents.is_empty() {
        let told: Vec<String> = view
            .incidents
            .iter()
            .map(|(kind, count)| format!("{} {}", shown(kind), grouped(*count)))
            .collect();
        let line = format!("incidents: {}   (tapeline doctor says more)", told.join(", "));
        frame.render_widget(Line::styled(line, WARN), foot);
    }
}

/// `12.3`, `4,567`
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
fn per_second(rate: f64) -> String {
    if rate > 0.0 && rate < 100.0 { format!("{rate:.1}") } else { grouped(rate.round() as u64) }
}

#[expect(clippy::cast_precision_loss, reason = "a tenth of a second for people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn bytes_of(count: u64) -> String {
    bytes(count as f64)
}

fn bytes(count: f64) -> String {
    match count {
        few if few < 1_024.0 => format!("{few:.0} B"),
        kib if kib < 1_048_576.0 => format!("{:.1} KiB", kib / 1_024.0),
        more => format!("{:.1} MiB", more / 1_048_576.0),
    }
}

/// What a percentile is at most.
#[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
fn bound(writes: u64, us: Option<u64>) -> String {
    match us {
        _ if writes == 0 => "-".to_string(),
        Some(us) => format!("≤{} ms", us as f64 / 1e3),
        None => ">10 s".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::view::Sample;
    use super::*;

    fn drawn(width: u16, height: u16) -> String {
        let start = Instant::now();
        let answer = |json: &str| serde_json::from_str(json).unwrap();
        let earlier = Sample { at: start, answer: answer(r#"{"instance":"a","version":"0.1.0"}"#) };
        let later = answer(
            r#"{"instance":"a","version":"0.1.0","published":1234,"connections":1,"subscriptions":2,
            "channels_watched":3000,"dropped":{"overflow":2},"families":{"market_data":
            {"priority":"high","delivered":77}},"busiest":[{"channel":"market_data:AAPL","per_second":12.5,"subscribers":4321}],
            "slowest":[{"client":"desk\u001b[2J (10.0.0.1)","waiting_bytes":2048,"blocked_ms":1500}],
            "late":[{"channel":"orderbook:X","state":"stale","age_ms":9000,"usual_ms":100}],"incidents":{"gap":3}}"#,
        );
        let view = View::between(
            "http://h",
            &earlier,
            &Sample { at: start + Duration::from_secs(1), answer: later },
        );
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &view)).unwrap();
        let cells = &terminal.backend().buffer().content;
        let lines = cells.chunks(usize::from(width));
        lines.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn everything_is_on_a_screen_of_usual_size_and_nothing_from_outside_moves_the_cursor() {
        let text = drawn(120, 40);
        for part in [
            "tapeline 0.1.0 at http://h",
            "published",
            "1,234",
            "overflow 2",
            "market_data:AAPL",
            "12.5",
            "4,321",
            "1 connection   2 subscriptions   3,000 channels ",
            "desk\\u{1b}[2J (10.0.0.1)",
            "2.0 KiB",
            "1.5 s",
            "1 channel has gone quiet",
            "orderbook:X",
            "stale",
            "incidents: gap 3",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn a_small_terminal_is_no_reason_to_fail() {
        for (width, height) in [(1, 1), (20, 5), (80, 10), (300, 100)] {
            drawn(width, height);
        }
    }
}
