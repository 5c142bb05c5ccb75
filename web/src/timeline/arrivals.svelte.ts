// What is told of arrivals to who hears the page: of several at once how many.
import { t } from '../i18n/i18n.svelte';

const TELL_MS = 700;

export class Arrivals {
  text = $state('');
  private count = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  tell(name: string): void {
    this.count++;
    this.text = '';
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.text = this.count === 1 ? t('arrived.from', { name }) : t('arrived.n', { n: this.count });
      this.count = 0;
    }, TELL_MS);
  }

  end(): void {
    clearTimeout(this.timer);
  }
}
