use super::*;

/// Everything that is said of a failure.
fn said(set: &[(&str, &str)]) -> String {
    let error = failure(set);
    format!("{error:?} {} {:?}", error.why().text, error.why().hint)
}

#[test]
fn no_service_can_put_a_secret_into_a_message() {
    // a service that sends back all that it was sent, in each place that is shown
    let echo = |status: u16, code: &'static str| {
        Service::new(move |asked, _| {
            let all: String = asked.headers.values().map(String::as_str).chain([asked.body.as_str()]).collect();
            let token = asked.field("WebIdentityToken").unwrap_or_default();
            let text = format!("{all} {token}").replace(['&', '<', '>', '"', '\\'], " ");
            if asked.body.is_empty() {
                (status, format!("{{\"code\": \"{code} {text}\", \"message\": \"{text}\"}}"))
            } else {
                let quoting = format!("{code} {text}");
                (status, sts_error(if code == "Odd" { &quoting } else { code }, &text))
            }
        })
    };
    let home = Home::new(
        "[base]\naws_access_key_id = BASE\naws_secret_access_key = hush-secret\naws_session_token = hush-token/+=\n",
        "[profile r]\nrole_arn = r\nsource_profile = base\n",
    );
    let token = home.file("token", "hush-jwt.hush.hush");
    for status in [200, 400, 403, 500] {
        for code in ["AccessDenied", "SignatureDoesNotMatch", "ExpiredTokenException", "ValidationError", "Odd"] {
            let service = echo(status, code);
            let role = [("HOME", home.path()), ("AWS_PROFILE", "r"), ("AWS_ENDPOINT_URL_STS", &service.origin)];
            let web = [
                ("AWS_ROLE_ARN", "r"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
                ("AWS_ENDPOINT_URL_STS", &service.origin),
            ];
            let container = [
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.origin.as_str()),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush-container"),
            ];
            for set in [&role[..], &web, &container] {
                let said = said(set);
                assert!(!said.contains("hush"), "{status} {code}: {said}");
            }
            if status == 500 {
                break; // these take their time
            }
        }
    }
}

#[test]
fn a_quoted_request_is_left_out_and_a_wrong_clock_is_not() {
    let quoting = Service::new(|_, _| {
        (
            403,
            sts_error("SignatureDoesNotMatch", "The Canonical String should have been x-amz-security-token:OTHERFORM"),
        )
    });
    let late = Service::new(|_, _| (403, sts_error("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier")));
    let home = Home::new(
        "[d]\naws_access_key_id = B\naws_secret_access_key = s\n",
        "[default]\nrole_arn = r\nsource_profile = d\n",
    );
    let of = |service: &Service| failure(&[("HOME", home.path()), ("AWS_ENDPOINT_URL_STS", &service.origin)]);
    let error = of(&quoting);
    assert!(matches!(&error, Error::Denied(why) if !why.text.contains("OTHERFORM")), "{error:?}");
    let error = of(&late);
    assert!(matches!(&error, Error::Config(why) if why.text.contains("Signature expired")), "{error:?}");
    assert!(error.why().hint.as_deref().unwrap().contains("clock"));
}

#[test]
fn the_environment_shows_names_only() {
    let read = environment(&[("AWS_SECRET_ACCESS_KEY", "hush"), ("AWS_PROFILE", "p")]);
    let shown = format!("{read:?}");
    assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("hush"), "{shown}");
}
