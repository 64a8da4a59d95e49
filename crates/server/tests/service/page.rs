//! Files of a page over HTTP: types, policy, ETag, methods.

use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use digits_server::page::{File, Kind, router};
use tower::ServiceExt as _;

async fn fetch(method: &str, path: &str, tag: Option<&HeaderValue>) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(tag) = tag {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    let files = [
        File::new("/", Kind::Html, b"<!doctype html>"),
        File::made("/page/models.json", Kind::Json, "[]"),
    ];
    let request = request.body(Body::empty()).expect("a request");
    router(files).oneshot(request).await.expect("infallible")
}

async fn body(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body")
}

#[tokio::test]
async fn a_file_has_its_content_type_and_the_policy() {
    let response = fetch("GET", "/", None).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("text");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(body(response).await, "<!doctype html>");
    let json = fetch("GET", "/page/models.json", None).await;
    assert_eq!(json.headers()[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn a_cached_file_is_not_sent_again() {
    let first = fetch("GET", "/", None).await;
    let tag = &first.headers()[header::ETAG];
    let second = fetch("GET", "/", Some(tag)).await;
    assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(&second.headers()[header::ETAG], tag);
    assert!(
        second
            .headers()
            .contains_key(header::CONTENT_SECURITY_POLICY)
    );
    assert!(body(second).await.is_empty());
    let other = HeaderValue::from_static("\"another\"");
    assert_eq!(
        fetch("GET", "/", Some(&other)).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let head = fetch("HEAD", "/", None).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()[header::CONTENT_LENGTH], "15");
    assert!(body(head).await.is_empty());
    let post = fetch("POST", "/", None).await;
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post.headers()[header::ALLOW], "GET,HEAD");
    let absent = fetch("GET", "/page", None).await;
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
}
