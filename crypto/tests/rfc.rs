//! The primitives give what their RFCs say, through our types where these do not add a label.

mod common;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use common::{bytes, unhex};
use ed25519_dalek::Signer;
use hkdf::Hkdf;
use parlor_crypto::leaf::{LeafPublic, LeafSecret};
use parlor_crypto::{PublicKey, Secret, SigningKey, phrase};
use sha2::Sha256;

#[test]
fn rfc_8032_signatures() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let key = SigningKey::from_seed(&Secret::new(bytes(seed)));
        assert_eq!(key.public_bytes(), bytes(public));
        assert!(PublicKey::parse(&bytes(public)).is_ok());
        let raw = ed25519_dalek::SigningKey::from_bytes(&bytes(seed));
        let message = unhex(message);
        assert_eq!(raw.sign(&message).to_bytes(), bytes::<64>(signature));
        assert!(raw.verifying_key().verify_strict(&message, &raw.sign(&message)).is_ok());
    }
}

#[test]
fn rfc_7748_agreement() {
    let alice = LeafSecret::from_secret(&Secret::new(bytes(
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    )));
    let bob = LeafSecret::from_secret(&Secret::new(bytes(
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    )));
    let shared: [u8; 32] = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(alice.public().as_bytes(), &bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    assert_eq!(bob.public().as_bytes(), &bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    assert_eq!(alice.agree(&bob.public()).unwrap().expose(), &shared);
    assert_eq!(bob.agree(&alice.public()).unwrap().expose(), &shared);
}

#[test]
fn rfc_7748_single_and_iterated() {
    let scalar = bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    let point = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    let product: [u8; 32] = bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    let ours = LeafSecret::from_secret(&Secret::new(scalar)).agree(&LeafPublic::parse(&point).unwrap()).unwrap();
    assert_eq!(ours.expose(), &product);

    // The raw function: on the way it meets encodings that our parser refuses.
    let mut k = [0; 32];
    k[0] = 9;
    let mut u = k;
    for round in 1..=1000 {
        (k, u) = (x25519_dalek::x25519(k, u), k);
        if round == 1 {
            assert_eq!(k, bytes("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(k, bytes("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn rfc_5869_extract_and_expand() {
    let key_material = [0x0b; 22];
    let salt = unhex("000102030405060708090a0b0c");
    let prk = parlor_crypto::kdf::extract(&salt, &key_material);
    assert_eq!(prk.expose(), &bytes("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
    let mut out = [0; 42];
    let hkdf = Hkdf::<Sha256>::from_prk(prk.expose()).unwrap();
    hkdf.expand(&unhex("f0f1f2f3f4f5f6f7f8f9"), &mut out).unwrap();
    assert_eq!(out, bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
}

#[test]
fn rfc_8439_sealing() {
    let key: [u8; 32] = bytes("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let nonce = Nonce::from(bytes::<12>("070000004041424344454647"));
    let aad = unhex("50515253c0c1c2c3c4c5c6c7");
    let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let sealed = ChaCha20Poly1305::new(&key.into()).encrypt(&nonce, Payload { msg: plaintext, aad: &aad }).unwrap();
    assert_eq!(
        sealed,
        unhex(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
             3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
             92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
             3ff4def08e4b7a9de576d26586cec64b6116
             1ae10b594f09e26a7e902ecbd0600691"
        )
    );
}

#[test]
fn bip_39_words() {
    let zero = phrase::parse(&format!("{}art", "abandon ".repeat(23))).unwrap();
    assert_eq!(zero.secret().expose(), &[0; 32]);
    let words = "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol \
                 group space point ten exist slush involve unfold";
    let seed = phrase::parse(words).unwrap();
    assert_eq!(seed.secret().expose(), &bytes("f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f"));
    assert_eq!(phrase::spell(&seed).as_str(), words);
}
