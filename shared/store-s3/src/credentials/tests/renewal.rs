use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;

/// A container's endpoint whose keys live for `life` seconds and are numbered.
fn numbered(life: i64) -> Service {
    Service::new(move |_, number| (200, json_key(&number.to_string(), "Token", life)))
}

fn of(service: &Service) -> Provider {
    provider(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &service.origin)])
}

#[test]
fn a_key_that_expires_is_renewed_before_it_does() {
    let service = numbered(3);
    let provider = of(&service);
    assert_eq!(get(&provider).unwrap().id, "0");
    assert_eq!(get(&provider).unwrap().id, "0");
    std::thread::sleep(Duration::from_millis(1800)); // it is still good, and more than half over
    assert_eq!(get(&provider).unwrap().id, "1");
    let long = numbered(3600);
    let provider = of(&long);
    for _ in 0..5 {
        assert_eq!(get(&provider).unwrap().id, "0");
    }
    assert_eq!(long.seen().len(), 1);
}

#[test]
fn a_key_is_renewed_five_minutes_before_its_end() {
    for (life, early) in [(3600, 300), (601, 300), (240, 120), (2, 1)] {
        let end = Timestamp::now() + SignedDuration::from_secs(life);
        let key = Credentials { id: String::new(), secret: String::new(), token: None, expires: Some(end) };
        let left = due(&key).unwrap().duration_until(end).as_secs_f64();
        assert!((left - f64::from(early)).abs() < 1.0, "{life}: {left}");
    }
}

#[test]
fn a_renewal_that_fails_while_the_key_is_good_is_survived_and_tried_again() {
    let well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&well);
    let service = Service::new(move |_, number| match state.load(Ordering::SeqCst) {
        true => (200, json_key(&number.to_string(), "Token", 4)),
        false => (403, String::new()),
    });
    let provider = of(&service);
    assert_eq!(get(&provider).unwrap().id, "0");
    well.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(get(&provider).unwrap().id, "0");
    assert_eq!(service.seen().len(), 2);
    assert_eq!(get(&provider).unwrap().id, "0"); // not asked at each request
    assert_eq!(service.seen().len(), 2);
    well.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(get(&provider).unwrap().id, "2");
    well.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(4100)); // beyond its end
    assert!(matches!(get(&provider), Err(Error::Denied(_))));
}

#[test]
fn many_who_ask_at_once_are_served_by_one_search_and_told_by_one_failure() {
    let runtime = runtime();
    let (good, bad) = (numbered(3600), Service::new(|_, _| (403, String::new())));
    for (service, well) in [(&good, true), (&bad, false)] {
        let provider = Arc::new(of(service));
        let all: Vec<_> = (0..16)
            .map(|_| {
                let provider = Arc::clone(&provider);
                runtime.spawn(async move { provider.get(&client()).await.map(|key| key.id) })
            })
            .collect();
        for one in all {
            assert_eq!(runtime.block_on(one).unwrap().is_ok(), well);
        }
    }
    assert_eq!(good.seen().len(), 1);
    assert!(bad.seen().len() <= 2, "{}", bad.seen().len());
}

#[test]
fn others_go_on_with_the_key_while_one_renews_it() {
    let slow = Service::new(|_, number| {
        if number > 0 {
            std::thread::sleep(Duration::from_millis(1500));
        }
        (200, json_key(&number.to_string(), "Token", 6))
    });
    let provider = Arc::new(of(&slow));
    let runtime = runtime();
    assert_eq!(get(&provider).unwrap().id, "0");
    std::thread::sleep(Duration::from_millis(3100));
    let renews = {
        let provider = Arc::clone(&provider);
        runtime.spawn(async move { provider.get(&client()).await.map(|key| key.id) })
    };
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    assert_eq!(get(&provider).unwrap().id, "0");
    assert!(start.elapsed() < Duration::from_millis(500));
    assert_eq!(runtime.block_on(renews).unwrap().unwrap(), "1");
}

#[test]
fn a_key_that_the_server_refuses_is_let_go_unless_it_is_new() {
    let service = numbered(3600);
    let provider = of(&service);
    let runtime = runtime();
    let first = get(&provider).unwrap();
    assert!(runtime.block_on(provider.refused(&first)));
    assert_eq!(get(&provider).unwrap().id, "0"); // the refusal may be of the one before
    if let Some(held) = provider.lock().as_mut() {
        held.since -= YOUNG;
    }
    assert!(runtime.block_on(provider.refused(&first)));
    assert_eq!(get(&provider).unwrap().id, "1");
    assert!(runtime.block_on(provider.refused(&first))); // it is not in use any more
    assert_eq!(get(&provider).unwrap().id, "1");
}

#[test]
fn what_stands_in_variables_does_not_change_and_what_stands_in_files_may() {
    let runtime = runtime();
    let variables = provider(&[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")]);
    let key = get(&variables).unwrap();
    assert!(!runtime.block_on(variables.refused(&key)));
    let home = Home::new("[default]\naws_access_key_id = A\naws_secret_access_key = s\naws_session_token = old\n", "");
    let files = provider(&[("HOME", home.path())]);
    let key = get(&files).unwrap();
    home.file(
        ".aws/credentials",
        "[default]\naws_access_key_id = A\naws_secret_access_key = s\naws_session_token = new\n",
    );
    if let Some(held) = files.lock().as_mut() {
        held.since -= YOUNG;
    }
    assert!(runtime.block_on(files.refused(&key)));
    assert_eq!(get(&files).unwrap().token.as_deref(), Some("new"));
}

#[test]
fn a_key_that_came_expired_is_refused_with_its_source() {
    let life = Arc::new(AtomicI64::new(-5));
    let state = Arc::clone(&life);
    let service = Service::new(move |_, _| (200, json_key("X", "Token", state.load(Ordering::SeqCst))));
    let provider = of(&service);
    let error = get(&provider).err().unwrap();
    assert!(
        matches!(&error, Error::Denied(why) if why.text.contains("container's credentials endpoint gave expired")),
        "{error:?}"
    );
    life.store(60, Ordering::SeqCst);
    assert_eq!(get(&provider).unwrap().id, "X");
}
