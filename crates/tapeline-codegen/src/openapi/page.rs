//! The routes of the live page.

use super::routes::{Route, plain};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/",
        id: "page",
        summary: "A page that shows what the hub is doing.",
        parameters: &[],
        bodies: &[],
        answers: &[plain(200, "The page.", Some("text/html"))],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/page.css",
        id: "page_style",
        summary: "How the page looks.",
        parameters: &[],
        bodies: &[],
        answers: &[plain(200, "The style sheet.", Some("text/css"))],
        refusals: &[],
    },
    Route {
        method: "get",
        path: "/page.js",
        id: "page_script",
        summary: "What the page does.",
        parameters: &[],
        bodies: &[],
        answers: &[plain(200, "The script.", Some("text/javascript"))],
        refusals: &[],
    },
];
