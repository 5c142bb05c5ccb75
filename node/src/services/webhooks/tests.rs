//! Promises about webhooks of a store that can not be read.

use std::time::Duration;

use parlor_api::{Code, CreateWebhook, Webhook, WebhookState};
use parlor_storage::{Batch, Namespace};

use crate::services::alone::{Alone, config, in_store};
use crate::start;

async fn hooked() -> (Alone, Webhook) {
    let alone = Alone::new().await;
    let request = CreateWebhook { name: "bot".to_owned(), url: "http://127.0.0.1:9/".to_owned(), rooms: None };
    let made = alone.app.create_webhook(request).await.unwrap();
    (alone, made)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_webhooks_can_not_be_read_does_not_begin_without_them() {
    let (alone, made) = hooked().await;
    alone.node.stop().await.unwrap();
    in_store(&alone.home, |store| store.damage_value(None, Namespace::Webhook, made.id.as_bytes()).unwrap());
    assert_eq!(start(config(&alone.home)).await.err().unwrap().code, Code::HomeDamaged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_told_nothing_because_nothing_can_be_read_does_not_look_well() {
    let (alone, _) = hooked().await;
    let alone = alone.with_store(|store| {
        let mut batch = Batch::new(None);
        batch.put(Namespace::Meta, b"anything", Vec::new());
        store.commit_blocking(batch).unwrap();
        store.damage_changes(*store.watch().borrow()).unwrap();
    });
    let alone = alone.await;
    loop {
        let hook = alone.app.list_webhooks().await.unwrap().remove(0);
        if hook.state == WebhookState::Failing {
            assert!(hook.pending_more && hook.last_error.is_some_and(|why| why.contains("can not be read")));
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    alone.node.stop().await.unwrap();
}
