//! The routes that change a hub: families, the configuration, revocations.
//!
//! Owns each route's words. Refuses to know what a route does.

use tapeline_schema::ErrorCode;

use ErrorCode::{BadChannel, BadJson, Degraded, Forbidden, Internal, InvalidRequest, NotFound, TooLarge};

use super::routes::{Body, JSON, Route, in_path, ok, text};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "post",
        path: "/admin/channels",
        id: "add_channel",
        summary: "Declare a family until the hub ends; from the hub's own machine only.",
        parameters: &[],
        bodies: &[(JSON, Body::One("Family"))],
        answers: &[ok("It is there.", "FamilyAnswer")],
        refusals: &[BadJson, BadChannel, Forbidden, Internal],
    },
    Route {
        method: "delete",
        path: "/admin/channels/{family}",
        id: "remove_channel",
        summary: "Take a family away that is not built in; from the hub's own machine only.",
        parameters: &[in_path("family", text, "Its name: the template up to the first colon.")],
        bodies: &[],
        answers: &[ok("It is gone.", "FamilyAnswer")],
        refusals: &[InvalidRequest, NotFound, Forbidden, Internal],
    },
    Route {
        method: "get",
        path: "/admin/revocations",
        id: "revocations",
        summary: "Tokens and subjects that have been taken back; from the hub's own machine or its admin interface only.",
        parameters: &[],
        bodies: &[],
        answers: &[ok("All of them, the newest first.", "Revocations")],
        refusals: &[InvalidRequest, Forbidden, Internal],
    },
    Route {
        method: "post",
        path: "/admin/revocations",
        id: "revoke",
        summary: "Take tokens back: their connections are closed (4003); from the hub's own machine or its admin interface only.",
        parameters: &[],
        bodies: &[(JSON, Body::One("Revoke"))],
        answers: &[ok("They are not believed any more.", "Revocation")],
        refusals: &[BadJson, InvalidRequest, Forbidden, TooLarge, Internal, Degraded],
    },
    Route {
        method: "post",
        path: "/admin/reload",
        id: "reload",
        summary: "Read the configuration file again: all of it takes effect, or nothing; from the hub's own machine only.",
        parameters: &[],
        bodies: &[],
        answers: &[ok("It has taken effect.", "ReloadAnswer")],
        refusals: &[InvalidRequest, Forbidden, Internal],
    },
];
