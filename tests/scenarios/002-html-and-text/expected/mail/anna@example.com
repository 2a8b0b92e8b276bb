multipart/alternative
Reply-To: help@acme.example
X-Campaign: offer
Dear Anna <b>& Co</b>, look
.a line that begins with a dot
Dear Anna &lt;b&gt;&amp; Co&lt;
anna%40example.com
