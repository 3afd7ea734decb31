//! Each fault as a client sees it, and whether the call reached the service.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;

use super::*;
use crate::TestBed;
use crate::access::AccessKey;
use crate::calls::{Call, Fault};
use crate::proxy::Proxy;
use crate::testbed::directory;

/// Operation and status.
type Arrived = (String, Option<u16>);

/// The proxies before and behind, and what came out behind.
struct Chain {
    front: Proxy,
    microburst: Microburst,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    _back: Proxy,
    bed: TestBed,
}

async fn chain() -> Chain {
    let bed = TestBed::new().await.expect("a bed");
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&arrived);
    let witness = move |call: &Call| {
        log.lock().expect("a log").push((call.operation.clone(), call.upstream_status));
    };
    let back = Proxy::witnessed(&bed.endpoint_url, Arc::new(witness)).await.expect("a proxy");
    let directory = directory(&format!("microburst-{}", uuid::Uuid::new_v4().simple()));
    let microburst = Microburst::start(&directory.expect("a directory"), back.url()).await;
    let microburst = microburst.expect("microburst");
    let front = Proxy::start(microburst.url()).await.expect("a proxy");
    Chain { front, microburst, arrived, _back: back, bed }
}

impl Chain {
    async fn call(
        &self,
        fault: Fault,
        target: &str,
        body: &Value,
    ) -> Result<Response<Bytes>, LocalError> {
        self.front.set_hook(move |_| fault.clone());
        let service = if target.starts_with("AmazonSQS") { "sqs" } else { "dynamodb" };
        let scope = AccessKey::root().unsigned(service);
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target),
            ("x-amz-user-agent", "aws-sdk-rust/1 app/receiver"),
            ("authorization", scope.as_str()),
        ];
        http_client::post(self.front.url(), &headers, body.to_string()).await
    }

    async fn send(&self, fault: Fault) -> Result<Response<Bytes>, LocalError> {
        let message = json!({ "QueueUrl": self.bed.queue_url, "MessageBody": "{}" });
        self.call(fault, "AmazonSQS.SendMessage", &message).await
    }

    fn arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.arrived.lock().expect("a log"))
    }
}

#[tokio::test]
async fn every_fault_is_what_it_is_called() {
    let chain = chain().await;
    let sent = vec![("SendMessage".to_owned(), Some(200))];
    let whole = chain.send(Fault::None).await.expect("an answer");
    assert_eq!((whole.status().as_u16(), chain.arrived()), (200, sent.clone()));

    let failed = Fault::Inject(Injected::InternalError);
    let failed = chain.send(failed).await.expect("an answer");
    let body: Value = serde_json::from_slice(failed.body()).expect("JSON");
    assert_eq!(failed.status(), 500);
    assert_eq!(body["__type"].as_str(), Some("com.amazonaws.sqs#InternalError"));
    assert_eq!(chain.arrived(), []);

    let put = json!({ "TableName": chain.bed.table, "Item": { "pk": { "S": "a" } } });
    let throttled = Fault::Inject(Injected::Throttled);
    let throttled = chain.call(throttled, "DynamoDB_20120810.PutItem", &put).await;
    let throttled = throttled.expect("an answer");
    let body: Value = serde_json::from_slice(throttled.body()).expect("JSON");
    let code = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
    assert_eq!((throttled.status().as_u16(), body["__type"].as_str()), (400, Some(code)));
    assert_eq!(chain.arrived(), []);

    for (fault, arrived) in [(Injected::Reset, vec![]), (Injected::ReplyLost, sent.clone())] {
        let broken = chain.send(Fault::Inject(fault)).await;
        assert!(matches!(broken, Err(LocalError::Call { .. })), "{fault:?}: {broken:?}");
        assert_eq!(chain.arrived(), arrived, "{fault:?}");
    }
    let half = chain.send(Fault::Inject(Injected::Truncated)).await.expect("an answer");
    assert_eq!((half.status().as_u16(), chain.arrived()), (200, sent.clone()));
    assert_eq!(half.body().len(), whole.body().len() / 2);
    assert!(serde_json::from_slice::<Value>(half.body()).is_err());

    let fired = chain.microburst.fired().await.expect("an account");
    let expected =
        Injected::ALL.map(|fault| (fault.name().to_owned(), u64::from(fault != Injected::Delayed)));
    assert_eq!(fired, BTreeMap::from(expected));
}

#[tokio::test]
async fn a_delayed_call_lands_after_its_client_has_given_up() {
    let chain = chain().await;
    // On a busy machine a call takes its time to get there.
    let is_delayed = async {
        while chain.microburst.fired().await.expect("an account")[Injected::Delayed.name()] == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answer = chain.send(Fault::Inject(Injected::Delayed)) => panic!("not delayed: {answer:?}"),
        () = is_delayed => {}
    }
    assert_eq!(chain.arrived(), []);
    let deadline = Instant::now() + Duration::from_secs(10);
    while chain.arrived.lock().expect("a log").is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(chain.arrived(), [("SendMessage".to_owned(), Some(200))]);
}
