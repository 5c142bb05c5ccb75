// The page begins: language and looks, then the session, then everything else.
import { mount } from 'svelte';
import './app.css';
import App from './app/App.svelte';
import { prefs } from './app/prefs.svelte';
import { session } from './app/session.svelte';

await prefs.use();
mount(App, { target: document.getElementById('app')! });
await session.begin();
